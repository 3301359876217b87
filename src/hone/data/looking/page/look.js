"use strict";
// Everything is readable without this: it copies commands, turns the pages of duplicate groups, and marks where one is.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button || !navigator.clipboard) return;
  // Commands about a row name the task folder too, which stands once in the page.
  const folder = button.classList.contains("row") && document.body.dataset.folder;
  navigator.clipboard.writeText(button.dataset.copy + (folder ? ` ${folder}` : "")).then(() => {
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
  });
});

for (const browser of document.querySelectorAll(".browser")) {
  const groups = [...browser.querySelectorAll(".cluster")];
  if (groups.length < 2) continue;
  const bar = document.createElement("div");
  bar.className = "turn";
  let at = 0;
  const show = (to) => {
    at = Math.max(0, Math.min(groups.length - 1, to));
    groups.forEach((group, index) => { group.hidden = index !== at; });
    [back.disabled, on.disabled] = [at === 0, at === groups.length - 1];
  };
  const button = (label, step) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = label;
    made.addEventListener("click", () => show(at + step));
    bar.append(made);
    return made;
  };
  const back = button("← previous group", -1);
  const on = button("next group →", 1);
  const all = document.createElement("button");
  all.type = "button";
  all.textContent = "show all";
  all.addEventListener("click", () => { groups.forEach((group) => { group.hidden = false; }); bar.remove(); });
  bar.append(all);
  browser.prepend(bar);
  show(0);
}

const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const sections = [...document.querySelectorAll("section[id]")].filter((part) => links.has(part.id));
let waiting = false;
const mark = () => {
  waiting = false;
  const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
  const passed = sections.filter((part) => part.getBoundingClientRect().top <= innerHeight / 4);
  const here = atEnd ? sections.at(-1) : passed.at(-1);
  for (const part of sections) links.get(part.id).classList.toggle("here", part === here);
};
addEventListener("scroll", () => {
  if (!waiting) requestAnimationFrame(mark);
  waiting = true;
}, { passive: true });
mark();

// A link into a closed part opens it first.
const open = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target && target.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", open);
open();
