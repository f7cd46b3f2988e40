"""Build the site and open every page in headless Chromium, as a reader would: no errors in the console, no missing
pictures, no request to another host, nothing wider than a phone, text that stands out from a light page and a dark one,
a search whose first answer is the right one. `--shots FOLDER` keeps a picture of every page."""
import asyncio
import base64
import json
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from chromium import NO_CHROMIUM, connect, find_chromium, start_chromium, wrongs
from docs import SITE, build
from report import Report

#: What is wrong with the open page, asked of the page itself; pictures far below are loaded first.
LOOK = '''(async () => {
  const pictures = [...document.images];
  pictures.forEach(i => i.loading = "eager");
  await Promise.all(pictures.map(i => i.decode().catch(() => {})));
  const missing = pictures.filter(i => !i.naturalWidth).map(i => "picture missing: " + i.src.slice(0, 80));
  const box = document.querySelector("#quarto-search input, .aa-Input, .aa-DetachedSearchButton");
  return [...missing, ...(box ? [] : ["no search box"]), ...(document.title ? [] : ["no title"])];
})()'''
#: On a page of this theme, the words whose contrast with what is behind them is below WCAG's 4.5; pictures are left out.
CONTRAST = """(theme => {
  const root = document.documentElement, before = root.dataset.bsTheme || "light";
  const paint = t => { root.dataset.bsTheme = t; root.classList.toggle("quarto-dark", t == "dark"); };
  const numbers = text => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const over = ([r, g, b, a], c) => [r, g, b].map((v, i) => v * a + c[i] * (1 - a));
  const light = c => c.map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
                      .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = e => e ? over(numbers(getComputedStyle(e).backgroundColor), behind(e.parentElement)) : [255, 255, 255];
  const still = document.head.appendChild(document.createElement("style"));
  still.textContent = "* { transition: none !important }";
  paint(theme);
  const faint = new Set();
  for (const e of document.body.querySelectorAll("*")) {
    if (e.closest("svg, button:disabled, .smalldocs-search-results")) continue;
    if (!e.checkVisibility({opacityProperty: true})) continue;
    if (![...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())) continue;
    const back = behind(e), ink = over(numbers(getComputedStyle(e).color), back);
    let seen = 1;
    for (let p = e; p; p = p.parentElement) seen *= getComputedStyle(p).opacity;
    const [dim, bright] = [light(over([...ink, seen], back)), light(back)].sort((a, b) => a - b);
    const ratio = (bright + .05) / (dim + .05);
    const what = `${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 30)}`;
    if (ratio < 4.5) faint.add(`${theme}: ${ratio.toFixed(1)} for ${what}`);
  }
  paint(before);
  still.remove();
  return [...faint].slice(0, 8);
})"""
#: What sticks out to the right of a phone's screen.
OVERFLOW = """document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :
  [`wider than a phone: ${document.documentElement.scrollWidth} pixels`]"""
PHONE = dict(width=400, height=900, deviceScaleFactor=1, mobile=False)
#: What readers ask, and the page or section that must come first.
ANSWERS = {'death': '02_lineage/06_states', 'extract': 'nucleus_extract', 'predict a movie': 'tutorials/02_my_movie',
           'predict_movie': '10_prediction/06_whole_movie.html#predict_movie', 'install': 'index.html#install'}
#: Type a word into the search box and count what it offers.
SEARCH = '''(async () => {
  const box = document.querySelector("#quarto-search input, .aa-Input");
  if (!box) return -1;
  box.focus(); box.value = "nucleus"; box.dispatchEvent(new Event("input", {bubbles: true}));
  for (let i = 0; i < 50; i++) {
    const n = document.querySelectorAll("a.search-result, .aa-Item a").length;
    if (n) return n;
    await new Promise(r => setTimeout(r, 100));
  }
  return 0;
})()'''

#: The address of the first result for a question, and whether all of it can be seen.
FIRST = '''(async (question) => {
  const box = document.querySelector(".smalldocs-search input, #quarto-search input");
  const found = () => document.querySelector("a.search-result, .aa-Item a");
  if (found()) found().parentElement.replaceChildren();
  box.focus(); box.value = question; box.dispatchEvent(new Event("input", {bubbles: true}));
  for (let i = 0; i < 50 && !found(); i++) await new Promise(r => setTimeout(r, 100));
  if (!found()) return ["nothing", true];
  const at = found().getBoundingClientRect();
  const seen = [[at.left + 5, at.top + 5], [at.right - 25, at.bottom - 5]].map(p => document.elementFromPoint(...p));
  return [found().href, seen.every(e => e && found().contains(e))];
})(%s)'''


class Quiet(SimpleHTTPRequestHandler):
    "Serves the site, but says nothing about it."
    def log_message(self, *args): pass


async def read_colours(tab):
    "The words of the open page that a light or a dark theme makes hard to read, and what a phone cannot show."
    findings = [row for theme in ('light', 'dark') for row in await tab.ask(f'{CONTRAST}("{theme}")')]
    await tab.call('Emulation.setDeviceMetricsOverride', **PHONE)
    findings += await tab.ask(OVERFLOW)
    await tab.call('Emulation.clearDeviceMetricsOverride')
    return findings


async def look(tab, host, name, shots=None):
    "Open one page and return what is wrong with it; a picture of it goes into the folder `shots`."
    await tab.open(host + name)
    findings = (await tab.ask(LOOK) or []) + await read_colours(tab)
    if await tab.ask(SEARCH) == 0: findings.append('searching for "nucleus" finds nothing')
    if shots:
        await tab.ask('document.querySelector("#quarto-search input").value = ""; document.body.click()')
        picture = await tab.call('Page.captureScreenshot', captureBeyondViewport=True)
        (Path(shots)/f'{Path(name).stem}.png').write_bytes(base64.b64decode(picture['data']))
    return findings + sorted(set(wrongs(tab.events, host)))


async def ask_search(tab, host):
    "Ask the search what readers ask; return the questions whose first answer is another, or is cut off."
    await tab.open(host + 'index.html')
    findings = []
    for question, answer in ANSWERS.items():
        first, inside = await tab.ask(FIRST % json.dumps(question))
        if answer not in first: findings.append(f'{question!r} leads first to {first!r}, not to {answer}')
        if not inside: findings.append(f'{question!r}: the results are cut off')
    return findings


async def visit(report, profile, host, names, shots=None):
    "Look at each page in turn, a line each."
    tab = await connect(profile)
    start, findings = time.monotonic(), await ask_search(tab, host)
    report.line('what readers search for', time.monotonic() - start, findings)
    for name in names:
        start = time.monotonic()
        findings = await look(tab, host, name, shots)
        report.line(name, time.monotonic() - start, findings)


def browse(report, shots=None):
    "Serve the site to this machine alone, start the browser with an empty profile, visit every page."
    pages, chromium = (p.relative_to(SITE) for p in sorted(SITE.glob('**/*.html'))), find_chromium()
    names = [str(p) for p in pages if p.parts[0] != 'source']    # pages of plain code
    if not names or not chromium:
        return report.line('Chromium', 0, ['no pages in _docs/' if chromium else NO_CHROMIUM])
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with start_chromium(chromium) as profile:
        asyncio.run(visit(report, profile, f'http://127.0.0.1:{server.server_port}/', names, shots))


if __name__ == '__main__':
    report = Report()
    report.check('docs site built', build)
    browse(report, *sys.argv[2:3])
    sys.exit(report.close())
