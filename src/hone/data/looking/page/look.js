"use strict";
// Everything is readable without this: it copies commands, turns the pages of duplicate groups, and marks where one is.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button || !navigator.clipboard) return;
  navigator.clipboard.writeText(button.dataset.copy).then(() => {
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
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const link of links.values()) link.classList.remove("here");
    links.get(entry.target.id)?.classList.add("here");
  }
}, { rootMargin: "0px 0px -75% 0px" });
for (const part of document.querySelectorAll("section[id]")) watcher.observe(part);

// A link into a closed part opens it first.
const open = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target && target.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", open);
open();
