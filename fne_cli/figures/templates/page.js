"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);

  // What Vega may load: nothing. The page's Content-Security-Policy says the same.
  const refuse = () => Promise.reject(new Error("no loading"));
  const loader = { load: refuse, sanitize: refuse, http: refuse, file: refuse };

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "status");
  document.body.append(tip);
  const tell = (handler, event, item, value) => {
    tip.hidden = !value;
    if (!value) return;
    tip.textContent = typeof value === "string" ? value : Object.values(value).join(", ");
    const box = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - box.width - 8);
    const above = event.clientY - box.height - 12;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above > 8 ? above : event.clientY + 18}px`;
  };
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true, capture: true });

  const draw = (place, spec) => vegaEmbed(place, spec, {
    mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false, tooltip: tell, loader, logLevel: 1,
  });

  // What is folded has no width: it is drawn as wide as its section, for paper, and anew when it is unfolded.
  const folded = (place) => place.closest("details:not([open])");
  const room = (place) => place.closest("section").clientWidth;
  const fit = (place, spec) => (folded(place)
    ? { ...spec, width: room(place), autosize: { type: "fit-x", contains: "padding" } } : spec);
  let opened = null;  // what is unfolded for paper, for which nothing is drawn anew
  const whenUnfolded = (place, again) => {
    const part = folded(place);
    const unfold = () => {
      if (opened) return;
      part.removeEventListener("toggle", unfold);
      again();
    };
    part?.addEventListener("toggle", unfold);
  };
  for (const place of document.querySelectorAll(".chart[data-chart]")) {
    const chart = charts[place.dataset.chart];
    if (chart.views) continue;
    draw(place, fit(place, chart));
    whenUnfolded(place, () => draw(place, chart));
  }
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const part of opened) part.open = true;
  });
  addEventListener("afterprint", () => {
    for (const part of opened ?? []) part.open = false;
    setTimeout(() => { opened = null; }, 500);  // toggling is told later
  });

  // The confusion matrix: which classifier, in which order, and how large.
  const matrix = (figure) => {
    const place = figure.querySelector(".chart");
    const chart = charts[place.dataset.chart];
    const [which, order] = ["view", "order"].map((name) => figure.querySelector(`[name=${name}]`));
    const count = chart.given.length;
    const steps = [4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 20, 24, 28, 34, 42];
    // Names need eight pixels; what then is wider than the page scrolls in its box.
    const longest = Math.max(...chart.given.map((number) => chart.names[number].length));
    const wide = room(figure) - Math.min(count > 25 ? 125 : 160, 45 + 7 * longest);
    let step = Math.max(0, steps.findLastIndex((size) => size * count <= wide));
    if (steps[step] < 8) step = steps.indexOf(10);
    const show = async () => {
      const view = chart.views[Number(which.value)];
      const size = steps[step];
      const domain = order.value === "hard" ? view.hard : chart[order.value];
      const values = view.cells.map(([t, p, n]) => {
        const share = n / Math.max(1, view.totals[t]);
        const right = t === p ? "right" : `classified as ${chart.names[p]}`;
        const percent = (100 * share).toFixed(1);
        return { t, p, n, share, shade: 0.28 + 0.72 * Math.sqrt(share),
                 tip: `${chart.names[t]}: ${n} of ${view.totals[t]} (${percent} %) ${right}` };
      });
      const spec = structuredClone(chart.spec);
      spec.data = { values };
      spec.width = spec.height = { step: size };
      const font = Math.min(12, Math.max(5, size));
      for (const axis of ["x", "y"]) {
        spec.encoding[axis].scale.domain = domain;
        spec.encoding[axis].axis.labelFontSize = font;
      }
      spec.layer.unshift({ data: { values: domain.map((t) => ({ t })) },
        mark: { type: "rule", strokeWidth: Math.max(1, size * 0.9), color: "var(--cell)", tooltip: null },
        encoding: { y: { field: "t", type: "ordinal" }, x: { value: 0 }, x2: { value: size * domain.length } } });
      if (size >= 24) {
        spec.layer.push({ mark: { type: "text", fontSize: 11, tooltip: null },
          encoding: { text: { field: "n" }, color: { condition: { test: "datum.t == datum.p && datum.share > 0.8", value: "#fff" }, value: "var(--on-cell)" } } });
      }
      await draw(place, spec);
      place.dataset.step = size;
    };
    const zoom = (by) => () => {
      step = Math.min(steps.length - 1, Math.max(0, step + by));
      show();
    };
    figure.querySelector("[data-zoom=in]").addEventListener("click", zoom(1));
    figure.querySelector("[data-zoom=out]").addEventListener("click", zoom(-1));
    for (const select of [which, order]) select.addEventListener("change", show);
    figure.querySelector(".controls").hidden = false;
    return show();
  };
  for (const figure of document.querySelectorAll("figure.matrix")) matrix(figure);

  // Tables: a button in each header of a sortable one.
  const key = (row, column) => {
    const cell = row.cells[column];
    const value = cell.dataset.sort ?? cell.textContent.trim();
    return value === "" ? NaN : Number.isNaN(Number(value)) ? value : Number(value);
  };
  const missing = (value) => typeof value === "number" && Number.isNaN(value);
  for (const table of document.querySelectorAll("table.sortable")) {
    const headers = [...[...table.tHead.rows].at(-1).cells];
    headers.forEach((header, column) => {
      if (header.classList.contains("fixed")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => {
        const before = header.getAttribute("aria-sort");
        const first = header.dataset.first ?? (header.classList.contains("text") ? "ascending" : "descending");
        const other = first === "ascending" ? "descending" : "ascending";
        const now = before === first ? other : first;
        const sign = now === "ascending" ? 1 : -1;
        headers.forEach((each) => each.removeAttribute("aria-sort"));
        header.setAttribute("aria-sort", now);
        const body = table.tBodies[0];
        const rows = [...body.rows].map((row) => [key(row, column), row]);
        rows.sort(([a], [b]) => {
          if (missing(a) || missing(b)) return missing(a) - missing(b);
          return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
        });
        body.append(...rows.map(([, row]) => row));
      });
    });
  }

  for (const button of document.querySelectorAll("button.copy")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.of).textContent);
      button.textContent = "Copied";
    });
  }
  document.documentElement.dataset.ready = "yes";
})();
