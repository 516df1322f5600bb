"""The sink that writes to MLflow. The only place that imports it."""
