// Shows every stepper of the page that is not shown yet. Names are data: they become text and attributes, never markup.
(function () {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const WIRE = 10, CELL = 16, PANEL = 26;  // letters of an abbreviated value

  function make(tag, attributes, ...children) {
    const element = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  // ---- V-values: a number, or an object key → V-value ----

  function scale(weight, value) {
    if (typeof value === "number") return weight * value;
    return Object.fromEntries(Object.entries(value).map(([key, below]) => [key, scale(weight, below)]));
  }

  function leaves(value, path = []) {
    if (typeof value === "number") return value ? [[path, value]] : [];
    return Object.entries(value).flatMap(([key, below]) => leaves(below, key === ":number" ? path : [...path, key]));
  }

  const numberOf = (value) => (typeof value === "number" ? value : value[":number"] || 0);
  const visible = (word) => word.replace(/ /g, "␣").replace(/\n/g, "⏎");
  const keyed = (key) => (/^[\p{L}␣]/u.test(visible(key)) ? visible(key) : `"${visible(key)}"`);  // ". 1" looks like .1
  const shorten = (text, most) => (text.length > most ? [...text].slice(0, most - 1).join("") + "…" : text);

  function short(x, digits = 4) {
    return String(Number(x.toPrecision(digits))).replace(/^(-?)0\./, "$1.").replace(/-/g, "−");
  }

  // The largest leaves first, as many as fit in `most` letters.
  function brief(value, most, digits = 4) {
    const all = leaves(value).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
    let text = "";
    for (const [index, [path, x]] of all.entries()) {
      const number = short(x, digits), name = shorten(keyed(path.join("/")), Math.max(3, most - number.length - 1));
      const more = (text && ", ") + (path.length ? `${name} ${number}` : number);
      const rest = index < all.length - 1 ? 2 : 0;
      if (text && text.length + more.length + rest > most) return text + " …";
      text += more;
    }
    return text || "0";
  }

  // ---- one stepper ----

  function mount(root) {
    const data = JSON.parse(root.querySelector("script").textContent);
    const images = [...root.querySelectorAll("img")].map((image) => image.src);
    const shadow = root.attachShadow({ mode: "open" });
    const state = { tick: 0, timer: null, pinned: false, chosen: null, expanded: new Set() };
    const many = data.machines.length > 1;

    const at = (machine, index, role, field, tick) => {
      const numbers = tick < 1 ? null : machine.neurons[index][role][field];
      return numbers ? data.values[numbers[tick - 1]] : 0;
    };
    const carried = (machine, [, , source, field, weight], tick) =>
      scale(weight, at(machine, source, "outputs", field, tick - 1));
    const answer = (machine, side, tick) => numberOf(at(machine, machine.output, "inputs", `dict-${side}`, tick));
    // A step as a person writes it: a letter, a word, a number, or the leaves of a V-value.
    const named = data.words.every((step) => typeof step === "string") ? visible : keyed;
    const written = (step, most) =>
      step === null ? "∅" : typeof step === "string" ? named(step) : brief(step, most || Infinity, most ? 4 : 17);
    // After the end the last step comes again and again, or nothing does.
    if (data.afterEnd === "nothing" && data.words.length * data.perCharacter < data.ticks) data.words.push(null);
    const plain = data.words.every((step) => step === null || (typeof step === "string" && [...step].length === 1));
    const wordAt = (tick) => Math.min(Math.floor((tick - 1) / data.perCharacter), data.words.length - 1);
    const emits = (tick) => (tick - 1) % data.perCharacter === 0 && data.words[wordAt(tick)] !== null;

    // -- the string and the controls --

    const words = data.words.map((word, index) => {
      const title = word === null ? "after the end nothing comes" : `step ${index + 1}: ${written(word)}`;
      const cell = make("span", { class: "word", title }, written(word, CELL));
      cell.addEventListener("click", () => go(index * data.perCharacter + 1));
      return cell;
    });
    const button = (name, sign, act) => {
      const element = make("button", { type: "button", "aria-label": name, title: name }, sign);
      element.addEventListener("click", act);
      return element;
    };
    const slider = make("input", { type: "range", min: 1, max: data.ticks, step: 1, "aria-label": "tick" });
    slider.addEventListener("input", () => { play(false); go(Number(slider.value)); });
    const status = make("span", { class: "status" });
    const now = make("div", { class: "now" });  // steps that may not fit into their cells
    const said = make("div", { class: "said", "aria-live": "polite" });
    const playing = button("play", "▶", () => play(!state.timer));
    playing.classList.add("play");
    const step = (ticks) => () => { play(false); go(state.tick + ticks); };
    const controls = make("div", { class: "controls" },
      button("first tick", "⇤", () => { play(false); go(1); }), button("one tick back", "←", step(-1)), playing,
      button("one tick on", "→", step(1)), button("last tick", "⇥", () => { play(false); go(data.ticks); }), slider);

    // -- the circuits --

    function circuit(machine, source) {
      const text = decodeURIComponent(source.slice(source.indexOf(",") + 1));
      const svg = document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
      svg.querySelectorAll("title").forEach((title) => title.remove());
      const [width, height] = ["width", "height"].map((side) => parseFloat(svg.getAttribute(side)) * 4 / 3);
      svg.removeAttribute("style");
      svg.setAttribute("style", `--width:${width}px;--height:${height}px`);
      svg.setAttribute("role", "group");
      svg.setAttribute("aria-label", machine.title ? `circuit: ${machine.title}` : "circuit");
      machine.boxes = machine.neurons.map((neuron, index) => box(machine, svg, neuron, index));
      machine.wires = machine.links.map((link, index) => wire(machine, svg, link, index));
      spread(machine.wires);
      const title = machine.title ? [make("div", { class: "title" }, machine.title)] : [];
      const style = `--width:${width}px;flex-grow:${width}`;
      return make("div", { class: "circuit", style }, ...title, make("div", { class: "scroller" }, svg));
    }

    function choosable(group, machine, what, index) {
      const choice = { machine, what, index };
      group.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && choose(choice));
      group.addEventListener("click", () => choose(choice, true));
      return choice;
    }

    function box(machine, svg, neuron, index) {
      const group = svg.querySelector(`[data-neuron="${index}"]`);
      const shape = group.querySelector("polygon, ellipse, path");
      shape.setAttribute("style", `--tint:${shape.getAttribute("fill")}`);
      const label = `${neuron.name} (${neuron.kind})`;
      for (const [name, value] of Object.entries({ tabindex: 0, role: "button", "aria-label": label }))
        group.setAttribute(name, value);
      const choice = choosable(group, machine, "neuron", index);
      group.addEventListener("focus", () => group.matches(":focus-visible") && choose(choice));
      return group;
    }

    function wire(machine, svg, link, index) {
      const group = svg.querySelector(`[data-link="${index}"]`), weight = group.querySelector("text");
      const value = weight.cloneNode(false), path = group.querySelector("path");
      group.classList.add(link[5] ? "fixed" : link[4] < 0 ? "negative" : "positive");
      weight.textContent = link[4] === 1 ? "" : `×${short(link[4], 3)}`;
      const [x, y] = ["x", "y"].map((side) => parseFloat(weight.getAttribute(side)));
      for (const text of [weight, value]) text.setAttribute("x", x + 4);
      value.setAttribute("y", weight.textContent ? y - 1 : y + 1);  // as low as may be: lines bend above
      weight.setAttribute("y", y + 7.5);
      weight.classList.add("weight");
      value.classList.add("value");
      const reach = path.cloneNode(false);  // a thin line is hard to point at
      reach.setAttribute("class", "reach");
      group.append(value, reach);
      choosable(group, machine, "link", index);
      return { group, value, weight };
    }

    // Of two loops at one neuron, Graphviz sets the labels onto each other.
    function spread(wires) {
      const place = (text, side) => Number(text.getAttribute(side));
      wires.forEach(({ value, weight }, index) => {
        const near = wires.slice(0, index).filter((other) => Math.abs(place(other.value, "x") - place(value, "x")) < 16 &&
          Math.abs(place(other.value, "y") - place(value, "y")) < 9).length;
        for (const text of [value, weight]) text.setAttribute("y", place(text, "y") + 19 * near);
      });
    }

    // -- what is known of a neuron, a link, or all neurons --

    const back = button("show all neurons", "all neurons", () => choose(null, true));
    const panel = make("div", { class: "panel", role: "region", "aria-label": "values" });

    function field(name, value, key, most = PANEL) {
      const text = brief(value, most), full = JSON.stringify(value, null, 1).replace(/^ +/gm, (pad) => "  ".repeat(pad.length - 1));
      const whole = typeof value === "number" && String(value).replace(/^(-?)0\./, "$1.").replace(/-/g, "−") === text;
      const open = state.expanded.has(key), shown = make("span", { class: "value", "data-key": key });
      if (whole || !leaves(value).length) shown.append(text);
      else {
        const more = make("button", { type: "button", "aria-expanded": open, "data-key": key }, open ? full : text);
        more.addEventListener("click", () => { state.expanded[open ? "delete" : "add"](key); show(); });
        shown.append(more);
      }
      return make("div", { class: "row" }, make("span", { class: "name" }, name), shown);
    }

    function aboutNeuron(machine, index) {
      const neuron = machine.neurons[index], rows = [];
      for (const role of ["inputs", "outputs"]) {
        if (Object.keys(neuron[role]).length) rows.push(make("div", { class: "role" }, role));
        for (const name of Object.keys(neuron[role])) {
          const key = `${data.machines.indexOf(machine)}/${index}/${role}/${name}`;
          rows.push(field(name, at(machine, index, role, name, state.tick), key));
          if (role === "inputs") rows.push(...machine.links.filter((link) => link[0] === index && link[1] === name)
            .map((link) => make("div", { class: "part" },
              `${brief(carried(machine, link, state.tick), 16)} = ${short(link[4])} × ${ends(machine, link)[1]}`)));
        }
      }
      return [make("div", { class: "head" }, make("b", {}, neuron.name), ` of kind ${neuron.kind}`), ...rows];
    }

    const ends = (machine, [to, toField, source, field]) =>
      [`${machine.neurons[to].name}.${toField}`, `${machine.neurons[source].name}.${field}`];

    function aboutLink(machine, index) {
      const link = machine.links[index], [to, source] = ends(machine, link);
      const key = `${data.machines.indexOf(machine)}/link ${index}`;
      return [make("div", { class: "head" }, make("b", {}, `${to} ← ${source}`), link[5] ? " fixed link" : " link"),
        make("div", { class: "row" }, make("span", { class: "name" }, "weight"), make("span", {}, String(link[4]))),
        field("carries", carried(machine, link, state.tick), key)];
    }

    function aboutAll() {
      return data.machines.map((machine, number) => make("section", {},
        make("div", { class: "head" }, make("b", {}, machine.title || "all neurons")),
        ...machine.neurons.flatMap((neuron, index) => {
          const role = index === machine.output ? "inputs" : "outputs", names = Object.keys(neuron[role]);
          return names.map((name) => field(names.length > 1 ? `${neuron.name}.${name}` : neuron.name,
            at(machine, index, role, name, state.tick), `${number}/${index}/${role}/${name}`));
        })));
    }

    function showPanel() {
      const focused = shadow.activeElement && shadow.activeElement.getAttribute("data-key");
      const { chosen } = state;
      const about = !chosen ? aboutAll() : (chosen.what === "link" ? aboutLink : aboutNeuron)(chosen.machine, chosen.index);
      if (chosen && many) about[0].append(` · ${chosen.machine.title}`);
      panel.replaceChildren(...(chosen ? [back] : []), ...about);
      if (focused) [...panel.querySelectorAll("button")].find((each) => each.dataset.key === focused)?.focus();
    }

    // A click pins what it chooses, and a second one lets go; only then does pointing choose again.
    function choose(choice, click = false) {
      const same = choice && state.chosen && ["machine", "what", "index"].every((key) => choice[key] === state.chosen[key]);
      if (click) state.pinned = Boolean(choice) && !(same && state.pinned);
      else if (state.pinned) return;
      state.chosen = choice;
      show();
    }

    // -- the chart --

    const chart = make("svg:svg", { class: "chart", role: "img", "aria-label": "both outputs at every tick" });
    const legend = make("div", { class: "legend" });
    const plot = { right: 8, top: 18, bottom: 18, height: 128 };
    plot.x = (tick) => plot.left + (tick - 1) * plot.step;

    function drawChart() {
      const width = plot.width = Math.max(chart.clientWidth || 600, 120), { right, top, bottom, height } = plot;
      const ticks = Array.from({ length: data.ticks }, (_, index) => index + 1);
      const all = data.machines.flatMap((machine) => ticks.flatMap((tick) => [1, 2].map((side) => answer(machine, side, tick))));
      const low = Math.min(0, ...all), high = Math.max(low + 1, ...all);
      const marks = [0, low, high], left = plot.left = 12 + 7 * Math.max(4, ...marks.map((mark) => short(mark).length));
      plot.step = (width - left - right) / data.ticks;
      const y = (value) => height - bottom - (value - low) / (high - low) * (height - top - bottom);
      const parts = [];
      const line = (x1, y1, x2, y2, name) => parts.push(make("svg:line", { x1, y1, x2, y2, class: name }));
      const text = (x, y, words, name, anchor) =>
        parts.push(make("svg:text", { x, y, class: name, "text-anchor": anchor }, words));
      for (const value of marks.filter((each, index) => !index || Math.abs(y(each) - y(0)) > 12)) {
        line(left, y(value), width - right, y(value), "grid");
        text(left - 4, y(value) + 3.5, short(value), "label", "end");
      }
      const apart = Math.ceil(12 / (plot.step * data.perCharacter));
      for (let index = 0; index * data.perCharacter < data.ticks; index += apart) {
        const x = plot.x(index * data.perCharacter + 1);
        line(x, top - 3, x, height - bottom, "grid");
        text(x + 2, top - 7, index < data.words.length ? shorten(written(data.words[index], 6), 6) : "·", "label", "start");
      }
      const every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000].find((each) => each * plot.step >= 36) || 10000;
      for (const tick of ticks) if (tick === 1 || tick % every === 0)
        text(plot.x(tick) + plot.step / 2, height - 5, String(tick), "label", "middle");
      plot.cursor = make("svg:rect", { class: "cursor", y: top - 4, height: height - top - bottom + 4 });
      parts.push(plot.cursor);
      data.machines.forEach((machine, number) => [1, 2].forEach((side) => {
        const steps = ticks.map((tick) => `V${y(answer(machine, side, tick)).toFixed(1)}H${plot.x(tick + 1).toFixed(1)}`);
        const start = `M${left},${y(answer(machine, side, 1)).toFixed(1)}`;
        parts.push(make("svg:path", { class: `curve machine${number} side${side}`, d: start + steps.join("") }));
      }));
      chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
      chart.replaceChildren(...parts);
      moveCursor();
    }

    function moveCursor() {
      if (!plot.cursor) return;
      plot.cursor.setAttribute("x", plot.x(state.tick) - Math.max(0, 2 - plot.step) / 2);
      plot.cursor.setAttribute("width", Math.max(2, plot.step));
    }

    function pointAt(event) {
      if (!(event.buttons & 1)) return;
      const place = (event.clientX - chart.getBoundingClientRect().left) * plot.width / chart.clientWidth;
      play(false);
      go(1 + Math.floor((place - plot.left) / plot.step));
    }
    chart.addEventListener("pointerdown", pointAt);
    chart.addEventListener("pointermove", pointAt);

    function sample(number, side) {
      const line = make("svg:line", { x1: 0, x2: 22, y1: 5, y2: 5, class: `curve machine${number} side${side}` });
      return make("svg:svg", { width: 22, height: 10, "aria-hidden": "true" }, line);
    }

    function showLegend() {
      legend.replaceChildren(...data.machines.map((machine, number) => {
        const sides = [1, 2].map((side) => make("span", { class: "side" }, sample(number, side),
          `${side === 1 ? "left" : "right"} `, make("b", {}, short(answer(machine, side, state.tick)))));
        return make("span", { class: "answers" }, ...(machine.title ? [`${machine.title} `] : []), ...sides);
      }));
    }

    // -- from tick to tick --

    function show() {
      const { tick, chosen } = state, word = wordAt(tick), emitted = emits(tick);
      words.forEach((cell, index) => {
        cell.classList.toggle("current", index === word);
        cell.classList.toggle("emitted", index === word && emitted);
      });
      slider.value = tick;
      const step = `${written(data.words[word])}${emitted ? ", emitted now" : ""}`;
      slider.setAttribute("aria-valuetext", `tick ${tick} of ${data.ticks}, ${plain ? "character" : "step"} ${step}`);
      if (!plain) now.textContent = data.words[word] === null ? step : `step ${word + 1}: ${step}`;
      status.replaceChildren("tick ", make("b", {}, String(tick)), ` of ${data.ticks}`);
      for (const machine of data.machines) {
        const is = (what, index) => Boolean(chosen) && chosen.machine === machine && chosen.what === what && chosen.index === index;
        machine.wires.forEach(({ group, value }, index) => {
          const now = carried(machine, machine.links[index], tick);
          value.textContent = brief(now, WIRE);
          group.classList.toggle("carrying", leaves(now).length > 0);
          const [to, , source] = machine.links[index];
          group.classList.toggle("chosen", is("link", index) || is("neuron", to) || is("neuron", source));
        });
        machine.boxes.forEach((group, index) => {
          group.classList.toggle("chosen", is("neuron", index));
          group.setAttribute("aria-pressed", is("neuron", index) && state.pinned);
        });
      }
      showPanel();
      showLegend();
      moveCursor();
    }

    function go(tick) {
      state.tick = Math.min(Math.max(tick, 1), data.ticks);
      show();
      if (!state.timer && state.shown) said.textContent = slider.getAttribute("aria-valuetext") + "; " + legend.textContent;
      state.shown = true;
    }

    function play(on) {
      clearInterval(state.timer);
      state.timer = null;
      playing.textContent = on ? "❚❚" : "▶";
      playing.setAttribute("aria-label", on ? "pause" : "play");
      playing.title = on ? "pause" : "play";
      if (!on) return;
      if (state.tick === data.ticks) go(1);
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      state.timer = setInterval(() => {
        if (root.isConnected) go(state.tick + 1);
        if (!root.isConnected || state.tick === data.ticks) play(false);
      }, calm ? 1500 : 350);
    }

    function press(event) {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const target = event.composedPath()[0], neuron = target.closest?.("[data-neuron]");
      const pressable = neuron || target.closest?.("button");
      const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -data.perCharacter, PageDown: data.perCharacter,
        Home: -data.ticks, End: data.ticks };
      if (event.key in moves) { play(false); go(state.tick + moves[event.key]); }
      else if (neuron && (event.key === "Enter" || event.key === " ")) neuron.dispatchEvent(new Event("click"));
      else if (event.key === " " && !pressable) play(!state.timer);
      else if (event.key === "Escape" && state.chosen) choose(null, true);
      else return;
      event.preventDefault();
      event.stopPropagation();
    }

    root.addEventListener("keydown", press);
    const help = "A wire shows what its source emitted at the tick before, times its weight ×. " +
      `← → a tick, page keys a ${plain ? "character" : "step"}, space plays. ` +
      "Click a neuron to keep its values in view.";
    const read = `string: ${data.words.filter((step) => step !== null).map((step) => written(step)).join(plain ? "" : "; ")}`;
    const circuits = make("div", { class: "circuits" }, ...data.machines.map((each, index) => circuit(each, images[index])));
    shadow.append(make("style", {}, data.style), make("div", { class: "stepper" },
      make("div", { class: "string", role: "img", "aria-label": read }, ...words),
      make("div", { class: "bar" }, controls, status), ...(plain ? [] : [now]),
      make("div", { class: many ? "body two" : "body" }, circuits,
        make("div", { class: "below" }, legend, chart), panel), make("div", { class: "help" }, help), said));
    circuits.querySelectorAll(".scroller").forEach((each) => each.scrollTo(each.scrollWidth / 2 - each.clientWidth / 2, 0));
    go(data.start);
    new ResizeObserver(() => chart.clientWidth && chart.clientWidth !== plot.width && drawChart()).observe(chart);
    drawChart();
  }

  document.querySelectorAll(".dmm-stepper").forEach((root) => root.shadowRoot || mount(root));
})();
