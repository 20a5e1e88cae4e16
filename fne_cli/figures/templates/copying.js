"use strict";
(() => {
  // Every table as text for a spreadsheet, a paper or a page of notes, as it is sorted now.
  const minus = /\u2212/g;
  const number = /^[-+]?\d{1,3}(,?\d{3})*(\.\d+)?$/;
  const said = (cell) => {
    const copy = cell.cloneNode(true);
    for (const name of copy.querySelectorAll("bdi[title]")) name.textContent = name.title;
    for (const tag of copy.querySelectorAll(".tag")) tag.textContent = ` (${tag.textContent})`;
    return copy.textContent.replace(/\s+/g, " ").trim();
  };
  const spread = (row) => [...row.cells].flatMap((cell) => Array(cell.colSpan).fill(said(cell)));
  const contents = (table) => {
    const heads = [...table.tHead.rows].map(spread);
    const kept = [...[...table.tHead.rows].at(-1).cells].map((cell) => !cell.classList.contains("fixed"));
    const head = heads.at(-1).map((_, column) => heads.map((row) => row[column]).filter(Boolean).join(", "));
    const body = [...table.tBodies[0].rows].map(spread);
    return [head, ...body].map((row) => row.filter((_, column) => kept[column]));
  };

  const csv = (rows) => rows.map((row) => row.map((text) => {
    let cell = text.replace(minus, "-");
    if (number.test(cell)) return cell.replaceAll(",", "");
    if (/^[=+\-@\t\r]/.test(cell)) cell = `'${cell}`;  // a name, and no formula
    return /[",;\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  }).join(",")).join("\n") + "\n";

  const signs = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}",
    ">": "\\textgreater{}", "|": "\\textbar{}", "`": "\\textasciigrave{}", '"': "\\char34{}", "[": "{[}", "]": "{]}",
    "*": "{*}", "\u2212": "$-$", "\u00b1": "$\\pm$", "\u2013": "--" };
  for (const sign of "&%$#_{}") signs[sign] = `\\${sign}`;
  const typeset = (text) => text.replace(/[\\~^<>|`"[\]*&%$#_{}\u2212\u00b1\u2013]/g, (sign) => signs[sign])
    .replace(/-(?=-)/g, "-{}").replace(/\u2026/g, "\\ldots{}");
  const latex = (rows, kinds) => {
    const lines = rows.map((row) => `${row.map(typeset).join(" & ")} \\\\`);
    return [`% Needs \\usepackage{booktabs}.`, `\\begin{tabular}{${kinds}}`, "\\toprule", lines[0], "\\midrule",
      ...lines.slice(1), "\\bottomrule", "\\end{tabular}", ""].join("\n");
  };

  const plain = (text) => text.replace(/[\\|<>*_`[\]]/g, (sign) => `\\${sign}`);
  const markdown = (rows, kinds) => {
    const lines = rows.map((row) => `| ${row.map(plain).join(" | ")} |`);
    lines.splice(1, 0, `|${[...kinds].map((kind) => (kind === "l" ? "---" : "--:")).join("|")}|`);
    return `${lines.join("\n")}\n`;
  };

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {  // no clipboard for pages without encryption
      const area = document.createElement("textarea");
      const before = document.activeElement;
      area.value = text;
      area.className = "away";
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      before.focus({ preventScroll: true });
      return done;
    }
  };

  const ways = { CSV: csv, LaTeX: latex, Markdown: markdown };
  for (const table of document.querySelectorAll(".scroll > table")) {
    const box = document.createElement("p");
    box.className = "copies";
    box.append("Copy as ");
    const title = document.getElementById(table.parentElement.getAttribute("aria-labelledby"))?.textContent ?? "";
    const state = document.createElement("span");
    state.setAttribute("role", "status");
    for (const [name, make] of Object.entries(ways)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.setAttribute("aria-label", `Copy the table ${title} as ${name}`);
      button.addEventListener("click", async () => {
        const cells = [...[...table.tHead.rows].at(-1).cells].filter((cell) => !cell.classList.contains("fixed"));
        const kinds = cells.map((cell) => (cell.classList.contains("text") ? "l" : "r")).join("");
        state.textContent = (await copy(make(contents(table), kinds))) ? `Copied as ${name}` : "Could not be copied";
      });
      box.append(button, " ");
    }
    box.append(state);
    table.parentElement.after(box);
  }
})();
