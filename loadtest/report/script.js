"use strict";
// Shows the values under the pointer. Everything that it shows is in the tables or the picture, too.
const tip = document.getElementById("tip");
for (const figure of document.querySelectorAll("figure[data-values]")) {
  const v = JSON.parse(figure.dataset.values);
  const svg = figure.querySelector("svg");
  const pointer = svg.querySelector(".pointer");
  const hide = () => { tip.hidden = true; pointer.style.visibility = "hidden"; };
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * v.width;
    let near = -1;
    v.x.forEach((at, i) => { if (near < 0 || Math.abs(at - x) < Math.abs(v.x[near] - x)) near = i; });
    if (near < 0 || x < v.left - 4) { hide(); return; }
    const head = document.createElement("b");
    head.textContent = v.tips[near];
    const rows = [head];
    v.names.forEach((name, l) => {
      if (v.y[l][near] === "") return;
      const row = document.createElement("span"), key = document.createElement("i"), value = document.createElement("em");
      key.className = "key " + v.keys[l];
      value.textContent = v.y[l][near];
      row.append(key, name, value);
      rows.push(row);
    });
    tip.replaceChildren(...rows);
    tip.hidden = false;
    const left = event.clientX + 16, width = tip.offsetWidth;
    tip.style.left = (left + width > innerWidth - 8 ? event.clientX - width - 16 : left) + "px";
    tip.style.top = Math.max(8, Math.min(event.clientY + 12, innerHeight - tip.offsetHeight - 8)) + "px";
    pointer.setAttribute("x1", v.x[near]);
    pointer.setAttribute("x2", v.x[near]);
    pointer.style.visibility = "visible";
  });
}
