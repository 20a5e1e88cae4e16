"use strict";
(() => {
  const { x, y, paths, ways, pictures } = JSON.parse(document.getElementById("data").textContent);
  const [map, canvas, shown, key, way, find] = ["map", "points", "shown", "key", "way", "find"].map((id) => document.getElementById(id));
  const brush = canvas.getContext("2d");
  const count = paths.length;
  const SIGNS = ["●", "■", "▲", "◆"];

  // What is seen: the middle, how many times as large as the whole, and which image is looked at.
  let middle = [0, 0], zoom = 1, at = -1, chosen = new Set();
  let width = 0, height = 0, scale = 1, screenX = new Float32Array(count), screenY = new Float32Array(count);
  const wrong = (name) => ({ right: 0, wrong: 1 })[name] ?? 8;
  const judged = () => ways[way.value].title === "right or wrong";
  const colour = (value) => (judged() ? wrong(ways[way.value].names[value]) : value % 8);
  const sign = (value) => (judged() ? wrong(ways[way.value].names[value]) % 8 : Math.floor(value / 8) % 4);
  const open = (point) => !chosen.size || chosen.has(ways[way.value].of[point]);

  const place = () => {
    const side = 0.94 * Math.min(width, height) * zoom;
    for (let i = 0; i < count; i++) {
      screenX[i] = width / 2 + (x[i] - middle[0]) * side;
      screenY[i] = height / 2 - (y[i] - middle[1]) * side;
    }
  };
  const mark = (shape, px, py, r) => {
    if (shape === 0) { brush.moveTo(px + r, py); brush.arc(px, py, r, 0, 2 * Math.PI); }
    else if (shape === 1) brush.rect(px - 0.9 * r, py - 0.9 * r, 1.8 * r, 1.8 * r);
    else {
      const ends = shape === 2 ? [[0, -1.25], [1.15, 0.85], [-1.15, 0.85]] : [[0, -1.35], [1.2, 0], [0, 1.35], [-1.2, 0]];
      ends.forEach(([dx, dy], n) => brush[n ? "lineTo" : "moveTo"](px + dx * r, py + dy * r));
      brush.closePath();
    }
  };
  const draw = () => {
    place();
    const style = getComputedStyle(document.documentElement);
    const colours = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => style.getPropertyValue(`--p${n}`).trim());
    const rest = style.getPropertyValue("--rest").trim();
    colours.push(rest);
    brush.setTransform(scale, 0, 0, scale, 0, 0);
    brush.clearRect(0, 0, width, height);
    const { names, of } = ways[way.value];
    const r = Math.max(1.6, Math.min(5, 90 / Math.sqrt(count))) * Math.min(2, Math.sqrt(zoom));
    const groups = names.map(() => []);
    for (let i = 0; i < count; i++) {
      if (screenX[i] > -9 && screenX[i] < width + 9 && screenY[i] > -9 && screenY[i] < height + 9) groups[of[i]].push(i);
    }
    // Values that are not chosen lie below, grey; wrong ones lie above.
    const order = names.map((_, value) => value).sort((a, b) => chosen.has(a) - chosen.has(b) || (judged() ? sign(a) - sign(b) : 0));
    for (const value of order) {
      const off = chosen.size && !chosen.has(value);
      brush.fillStyle = off ? rest : colours[colour(value)];
      brush.globalAlpha = off ? 0.18 : 0.8;
      brush.beginPath();
      for (const i of groups[value]) mark(sign(value), screenX[i], screenY[i], off ? 0.8 * r : r);
      brush.fill();
    }
    brush.globalAlpha = 1;
    if (at >= 0) {
      brush.strokeStyle = style.getPropertyValue("--ink").trim();
      brush.lineWidth = 2.5;
      brush.beginPath();
      brush.arc(screenX[at], screenY[at], r + 5, 0, 2 * Math.PI);
      brush.stroke();
    }
    tell();
  };
  let waiting = false;
  const later = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  };

  // What is said of an image, beside its point and inside the map.
  let told = -1;
  const tell = () => {
    shown.hidden = at < 0;
    if (at < 0) { told = -1; return; }
    if (told !== at) {
      told = at;
      shown.replaceChildren();
      if (pictures[at]) {
        const image = document.createElement("img");
        image.alt = "";
        image.src = `data:image/jpeg;base64,${pictures[at]}`;
        shown.append(image);
      }
      for (const one of ways) {
        const line = document.createElement("div");
        line.textContent = one.title === "nothing" ? "" : `${one.title}: ${one.names[one.of[at]]}`;
        shown.append(line);
      }
      const path = document.createElement("div");
      path.className = "path";
      path.textContent = paths[at];
      shown.append(path);
      map.dataset.at = at;
    }
    const box = shown.getBoundingClientRect();
    const right = screenX[at] + 16, below = screenY[at] + 16;
    const left = right + box.width < width ? right : Math.max(4, screenX[at] - box.width - 16);
    const top = below + box.height < height ? below : Math.max(4, screenY[at] - box.height - 16);
    shown.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  };
  const nearest = (px, py, within) => {
    let best = -1, least = within * within;
    for (let i = 0; i < count; i++) {
      const away = (screenX[i] - px) ** 2 + (screenY[i] - py) ** 2;
      if (away < least && open(i)) { least = away; best = i; }
    }
    return best;
  };
  const visit = (point) => {
    at = point;
    if (at >= 0) {
      place();
      const inside = screenX[at] > 8 && screenX[at] < width - 8 && screenY[at] > 8 && screenY[at] < height - 8;
      if (!inside) middle = [x[at], y[at]];
    }
    later();
  };
  // The nearest image within 45 degrees of a direction.
  const towards = (dx, dy) => {
    if (at < 0) return nearest(width / 2, height / 2, Infinity);
    let best = at, least = Infinity;
    for (let i = 0; i < count; i++) {
      const h = screenX[i] - screenX[at], v = screenY[i] - screenY[at];
      const along = h * dx + v * dy, across = Math.abs(h * dy) + Math.abs(v * dx);
      const away = along * along + 4 * across * across;
      if (along > 0 && across <= along && away < least && open(i)) { least = away; best = i; }
    }
    return best;
  };
  const enlarge = (by, px = width / 2, py = height / 2) => {
    const before = 0.94 * Math.min(width, height) * zoom;
    const under = [middle[0] + (px - width / 2) / before, middle[1] - (py - height / 2) / before];
    zoom = Math.min(200, Math.max(1, zoom * by));
    const after = 0.94 * Math.min(width, height) * zoom;
    middle = zoom === 1 ? [0, 0] : [under[0] - (px - width / 2) / after, under[1] + (py - height / 2) / after];
    later();
  };
  const whole = () => { zoom = 1; middle = [0, 0]; later(); };

  const spot = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  let dragged = null;
  map.addEventListener("pointerdown", (event) => {
    dragged = { from: spot(event), middle, moved: false };
    if (event.pointerType === "mouse") map.setPointerCapture(event.pointerId);
    else visit(nearest(...spot(event), 24));
  });
  map.addEventListener("pointermove", (event) => {
    const [px, py] = spot(event);
    if (dragged && event.buttons) {
      const side = 0.94 * Math.min(width, height) * zoom, [fx, fy] = dragged.from;
      if (Math.hypot(px - fx, py - fy) > 4) dragged.moved = true;
      if (dragged.moved && zoom > 1) {
        middle = [dragged.middle[0] - (px - fx) / side, dragged.middle[1] + (py - fy) / side];
        later();
      }
      return;
    }
    if (event.pointerType !== "mouse") return;
    const point = nearest(px, py, 14);
    if (point !== at) { at = point; later(); }
  });
  for (const name of ["pointerup", "pointercancel"]) map.addEventListener(name, () => { dragged = null; });
  map.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse" && document.activeElement !== map) { at = -1; later(); }
  });
  map.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    enlarge(Math.exp(-event.deltaY / 300), ...spot(event));
  }, { passive: false });
  const keys = {
    ArrowLeft: () => visit(towards(-1, 0)), ArrowRight: () => visit(towards(1, 0)),
    ArrowUp: () => visit(towards(0, -1)), ArrowDown: () => visit(towards(0, 1)),
    "+": () => closer(1.5), "=": () => closer(1.5), "-": () => closer(1 / 1.5), "0": whole,
    Escape: () => visit(-1),
  };
  const closer = (by) => (at < 0 ? enlarge(by) : enlarge(by, screenX[at], screenY[at]));
  map.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (!act || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act();
  });
  document.getElementById("in").addEventListener("click", () => closer(1.5));
  document.getElementById("out").addEventListener("click", () => closer(1 / 1.5));
  document.getElementById("all").addEventListener("click", whole);
  find.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const text = find.value.toLowerCase();
    for (let step = 1; text && step <= count; step++) {
      const point = (at + step + count) % count;
      if (open(point) && paths[point].toLowerCase().includes(text)) return visit(point);
    }
    find.setCustomValidity(text ? "No image that is shown has this in its path." : "");
    find.reportValidity();
  });
  find.addEventListener("input", () => find.setCustomValidity(""));

  const list = () => {
    chosen = new Set();
    const { names, of } = ways[way.value];
    const counts = names.map(() => 0);
    for (const value of of) counts[value]++;
    key.replaceChildren(...names.map((name, value) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", "false");
      const [symbol, text, number] = ["sign", "text", "count"].map((part) => {
        const span = document.createElement("span");
        span.className = part;
        return span;
      });
      symbol.classList.add(`c${colour(value)}`);
      symbol.setAttribute("aria-hidden", "true");
      symbol.textContent = SIGNS[sign(value)];
      text.textContent = name;
      number.textContent = counts[value].toLocaleString("en");
      button.append(symbol, text, number);
      button.addEventListener("click", () => {
        if (!chosen.delete(value)) chosen.add(value);
        button.setAttribute("aria-pressed", String(chosen.has(value)));
        if (at >= 0 && !open(at)) at = -1;
        later();
      });
      return button;
    }));
    later();
  };
  way.addEventListener("change", list);

  new ResizeObserver(() => {
    width = map.clientWidth;
    height = map.clientHeight;
    scale = Math.min(3, devicePixelRatio || 1);
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    draw();
  }).observe(map);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", later);
  document.getElementById("controls").hidden = false;
  list();
  document.documentElement.dataset.ready = "yes";
})();
