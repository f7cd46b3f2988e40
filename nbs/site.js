// What the site adds to its pages, whoever rendered them: light or dark, the open page in view in the sidebar, and a
// search that ranks by meaning. It is loaded in the head, so that a page is never painted in the wrong colours.
(() => {
  "use strict";
  const root = document.documentElement;

  // ---- light or dark: what the reader chose here, else what the browser prefers
  const prefers = window.matchMedia("(prefers-color-scheme: dark)");
  const KEY = "nucleus_cls-theme";
  const chosen = () => { try { return localStorage.getItem(KEY); } catch (e) { return null; } };
  const remember = (theme) => { try { localStorage.setItem(KEY, theme); } catch (e) { /* a private window forgets */ } };
  const isDark = () => root.dataset.bsTheme === "dark";
  const show = (dark) => {
    root.dataset.bsTheme = dark ? "dark" : "light";
    root.classList.toggle("quarto-dark", dark);
    document.querySelectorAll(".theme-toggle").forEach((b) => {
      b.setAttribute("aria-pressed", dark);
      b.title = dark ? "Light page" : "Dark page";
      b.textContent = dark ? "☀" : "☾";
    });
  };
  const follow = () => show(chosen() ? chosen() === "dark" : prefers.matches);
  follow();
  prefers.addEventListener("change", follow);
  window.addEventListener("storage", (e) => { if (e.key === KEY) follow(); });
  window.addEventListener("beforeprint", () => show(false));
  window.addEventListener("afterprint", follow);

  const addToggles = () => {
    const homes = document.querySelectorAll(".sidebar-title, .quarto-secondary-nav > .container-fluid");
    (homes.length ? homes : [document.body]).forEach((home) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "theme-toggle";
      button.setAttribute("aria-label", "Dark page");
      button.addEventListener("click", () => { remember(isDark() ? "light" : "dark"); follow(); });
      home.append(button);
    });
    follow();
  };

  // ---- the open page in view in a long sidebar
  const showOpenPage = () => {
    const bar = document.querySelector("#quarto-sidebar"), open = bar && bar.querySelector(".sidebar-link.active");
    if (!open) return;
    const place = () => {
      const at = open.getBoundingClientRect(), box = bar.getBoundingClientRect();
      if (at.top < box.top || at.bottom > box.bottom) bar.scrollTop += at.top - box.top - bar.clientHeight / 3;
    };
    place();
    document.querySelectorAll(".quarto-btn-toggle").forEach((b) => b.addEventListener("click", place));
  };

  // ---- the results of a search below their box, over everything else, as high as the window allows
  const placeResults = (event) => {
    const box = event.target.closest && event.target.closest(".sidebar-search .smalldocs-search");
    const results = box && box.querySelector(".smalldocs-search-results");
    if (!results) return;
    const at = box.getBoundingClientRect();
    Object.assign(results.style, { left: Math.max(at.left, 17) + "px", top: at.bottom + 2 + "px", maxHeight: innerHeight - at.bottom - 16 + "px" });
  };
  ["focusin", "input"].forEach((kind) => document.addEventListener(kind, placeResults));

  document.addEventListener("DOMContentLoaded", () => { addToggles(); showOpenPage(); });

  // ---- search. smalldocs asks a Fuse for the best sections; this one ranks them as search engines do (BM25), with
  // titles above text, pages that treat a subject above those that mention it, and tutorials and the guide first.
  const offset = document.querySelector('meta[name="smalldocs:offset"]');
  if (!offset) return;
  if (location.protocol === "file:") {          // where a browser reads no JSON, the same as a script
    const script = document.createElement("script");
    script.src = offset.content + "search.js";
    document.head.append(script);
  }
  const STOP = new Set("a an and are as at be by do for from how i in is it my of on or the this to what with".split(" "));
  const stem = (w) => (w.length > 3 && w.endsWith("s") && !w.endsWith("ss") ? w.replace(/ies$/, "y").replace(/s$/, "") : w);
  const words = (text) => {
    const found = text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) || [];
    return found.flatMap((w) => (w.includes("_") ? [w, ...w.split("_").filter(Boolean)] : [w])).map(stem);
  };
  const KINDS = [[/^tutorials\//, 1.5], [/^guide\//, 1.35], [/^index/, 1.3], [/^15_cli\//, 1.15], [/^api/, 0.8],
    [/^(CHANGELOG|CONTRIBUTING)/, 0.5], [/./, 1]];
  // pages that answer a word although others use it more often
  const ANSWERS = { "02_lineage/06_states.html": "death dead dying die apoptosis mitotic new_daughter daughter stable state rule" };
  const answers = Object.entries(ANSWERS).map(([path, text]) => [path, new Set(words(text))]);
  const tally = (list) => list.reduce((m, w) => m.set(w, (m.get(w) || 0) + 1), new Map());

  class Ranked {
    constructor(entries) {
      this.entries = entries.length ? entries : window.nucleusSearch || [];
      const pages = new Map();
      this.documents = this.entries.map((entry) => {
        const path = entry.href.split("#")[0];
        const text = words(entry.text), title = words(entry.title), section = words(entry.section);
        const page = pages.get(path) || { words: [], title, kind: KINDS.find(([pattern]) => pattern.test(path))[1] };
        page.words.push(...section, ...section, ...text);
        pages.set(path, page);
        return { entry, page, text: tally(text), section, size: text.length + 8, head: !entry.section };
      });
      pages.forEach((page) => { page.count = tally(page.words); page.size = page.words.length + 40; });
      this.pages = [...pages.values()];
      this.vocabulary = new Set(this.pages.flatMap((page) => [...page.title, ...page.count.keys()]));
      const mean = (list) => list.reduce((sum, d) => sum + d.size, 0) / (list.length || 1);
      this.meanText = mean(this.documents);
      this.meanPage = mean(this.pages);
    }

    // the words of the index that a word asked for may mean: itself, or else what begins with it
    expand(asked) {
      if (this.vocabulary.has(asked)) return [asked];
      return asked.length < 2 ? [] : [...this.vocabulary].filter((w) => w.startsWith(asked)).slice(0, 40);
    }

    search(query, { limit = 20 } = {}) {
      const all = words(query), asked = all.filter((w) => !STOP.has(w));
      const meant = (asked.length ? asked : all).map((w) => this.expand(w));
      const N = this.pages.length;
      const rarity = meant.map((list) => {
        const n = this.pages.filter((p) => list.some((w) => p.count.has(w) || p.title.includes(w))).length;
        return Math.log(1 + (N - n + 0.5) / (n + 0.5));
      });
      const often = (count, list) => list.reduce((sum, w) => sum + (count.get(w) || 0), 0);
      const weigh = (n, size, mean) => (n * 2.2) / (n + 1.2 * (0.25 + 0.75 * size / mean));
      const scored = this.documents.map((d) => {
        const answered = new Map(answers).get(d.entry.href) || new Set();
        const name = query.trim();      // a name of the library leads to its own section
        let score = name.includes("_") && d.entry.section === name ? 20 : 0, met = 0;
        meant.forEach((list, i) => {
          const inText = weigh(often(d.text, list), d.size, this.meanText);
          const inPage = weigh(often(d.page.count, list), d.page.size, this.meanPage);
          const inTitle = list.some((w) => d.page.title.includes(w)) ? 1 : 0;
          const inSection = list.some((w) => d.section.includes(w)) ? 3 / (1 + d.section.length) : 0;
          if (inText || inSection || (inTitle && d.head)) met += 1;
          if (d.head && list.some((w) => answered.has(w))) score += 20;
          score += (0.2 + rarity[i]) * (inText + inPage + 2 * inTitle * (d.head ? 2 : 1) + 2 * inSection);
        });
        return { item: d.entry, score: score * d.page.kind * (met / meant.length) ** 2 };
      });
      return scored.filter((s) => s.score > 0).sort((a, b) => b.score - a.score).slice(0, limit);
    }
  }
  window.Fuse = Ranked;
})();
