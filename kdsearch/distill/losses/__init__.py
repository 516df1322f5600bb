"""What a student learns from its teachers, one loss a file."""
