"use strict";
(() => {
  const form = document.getElementById("filters");
  const every = (selector, where = document) => [...where.querySelectorAll(selector)];

  const parts = (where) => every("[data-part]", where).map((part) => [part.dataset.part, part]);
  const said = new Map(parts(document).map(([name, part]) => [name, part.innerHTML]));

  // Filters. Without this script everything is shown and the form is not.
  const apply = () => {
    const verdicts = every("[name=verdict]:checked", form).map((box) => box.value);
    const value = (name) => (form.elements[name] ? form.elements[name].value : "");
    const words = value("text").toLowerCase().split(/\s+/).filter(Boolean);
    const shown = new Set();
    const entries = every("[data-filter]");
    for (const entry of entries) {
      const said = entry.dataset;
      const text = (said.claim + " " + entry.textContent).toLowerCase();
      const fits =
        verdicts.includes(said.verdict) &&
        (!value("paper") || value("paper") === said.paper) &&
        (!value("scale") || value("scale") === said.scale) &&
        words.every((word) => text.includes(word));
      entry.hidden = !fits;
      if (fits) shown.add(said.claim);
    }
    for (const group of every(".group, section.figure"))
      group.hidden = !group.querySelector("[data-filter]:not([hidden])");
    for (const cell of every(".cell")) cell.classList.toggle("dim", !shown.has(cell.dataset.claim));
    document.getElementById("count").textContent = `${shown.size} of ${entries.length} claims`;
    document.getElementById("none").hidden = shown.size > 0;
  };
  const reset = () => { form.reset(); apply(); };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", (event) => { if (event.target.id === "reset") reset(); });
  apply();

  // A link to an entry shows it, whatever the filters and whatever is folded.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.closest("[hidden]")) reset();
    if (target.tagName === "DETAILS") target.open = true;
    target.scrollIntoView();
  };
  window.addEventListener("hashchange", reveal);
  reveal();

  // Keys: / searches, Escape shows all again, arrows walk through the matrix.
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      form.elements.text.focus();
    } else if (event.key === "Escape" && form.contains(event.target)) {
      reset();
    } else if (event.target.classList && event.target.classList.contains("cell")) {
      const cells = every(".cell");
      const here = cells.indexOf(event.target);
      const places = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: cells.length - 1 };
      const row = (way) => {
        const from = event.target.getBoundingClientRect();
        const off = (cell) => Math.abs(cell.getBoundingClientRect().left - from.left);
        const beyond = cells.filter((cell) => way * (cell.getBoundingClientRect().top - from.top) > 1);
        if (!beyond.length) return here;
        const line = (way > 0 ? beyond[0] : beyond[beyond.length - 1]).getBoundingClientRect().top;
        const same = beyond.filter((cell) => Math.abs(cell.getBoundingClientRect().top - line) < 1);
        return cells.indexOf(same.reduce((a, b) => (off(b) < off(a) ? b : a)));
      };
      if (event.key === "ArrowDown") places.ArrowDown = row(1);
      if (event.key === "ArrowUp") places.ArrowUp = row(-1);
      if (event.key in places) {
        event.preventDefault();
        const cell = cells[places[event.key]];
        if (cell) cell.focus();
      }
    }
  });

  // On paper everything folded is laid open.
  window.addEventListener("beforeprint", () => every("details.exhibit").forEach((d) => { d.open = true; }));

  // A served page looks every few seconds for what is new, and keeps what is open and in focus.
  const refresh = async () => {
    const answer = await fetch(location.href.split("#")[0]);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const [name, part] of parts(fresh)) {
      const text = part.innerHTML;
      const old = document.querySelector(`[data-part="${name}"]`);
      if (!old || said.get(name) === text) continue;
      const focused = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
      const toggled = every("details[id]", old).map((d) => [d.id, d.open]);
      old.innerHTML = text;
      said.set(name, text);
      for (const [id, open] of toggled) {
        const folded = document.getElementById(id);
        if (folded) folded.open = open;
      }
      if (focused) every("a", old).find((a) => a.getAttribute("href") === focused)?.focus();
    }
    apply();
  };
  if ("live" in document.body.dataset)
    setInterval(() => { if (!document.hidden) refresh().catch(() => {}); }, 5000);
})();
