"use strict";
// Points say what they are: under the mouse, a finger or the keyboard.
const tip = document.getElementById("tip");
let shown = null;
function show(circle) {
  if (shown) shown.classList.remove("on");
  shown = circle;
  tip.style.visibility = circle ? "visible" : "hidden";
  if (!circle) return;
  circle.classList.add("on");
  tip.textContent = circle.dataset.tip;
  const at = circle.getBoundingClientRect(), box = tip.getBoundingClientRect();
  const left = at.left + at.width / 2 - box.width / 2;
  tip.style.left = Math.max(6, Math.min(left, innerWidth - box.width - 6)) + "px";
  tip.style.top = (at.top > box.height + 12 ? at.top - box.height - 6 : at.bottom + 6) + "px";
}
for (const circle of document.querySelectorAll(".marks circle")) {
  const title = circle.querySelector("title");
  circle.dataset.tip = title.textContent;
  (circle.closest("a") || circle).setAttribute("aria-label", title.textContent);
  title.remove();
}
for (const plot of document.querySelectorAll("svg.plot")) {
  const find = (event) => show(event.target.closest(".marks circle") || event.target.querySelector?.(":scope > circle[data-tip]"));
  plot.addEventListener("pointerover", find);
  plot.addEventListener("pointerleave", () => show(null));
  plot.addEventListener("focusin", find);
  plot.addEventListener("focusout", () => show(null));
}
addEventListener("scroll", () => show(null), { passive: true });
// A link to a folded section opens it.
function unfold() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
}
addEventListener("hashchange", unfold);
unfold();
for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.of).textContent);
    button.textContent = "Copied";
  });
}
// Sorting, searching and pages for the table of all students; without this it is a plain table.
const students = document.querySelector("#students table");
if (students) {
  const table = () => new DataTable(students, {
    order: [], pageLength: 25, lengthMenu: [25, 100, { label: "all", value: -1 }],
    language: { search: "Filter", searchPlaceholder: "such as: confirm distilled 64", lengthMenu: "Show _MENU_", info: "_START_ to _END_ of _TOTAL_", infoFiltered: "(of _MAX_)", infoEmpty: "none", zeroRecords: "No student matches." },
  });
  const folder = students.closest("details");
  if (folder.open) table(); else folder.addEventListener("toggle", table, { once: true });
}
