"""Build the site and open every page in headless Chromium, as a reader would: no errors in the console, no missing
pictures, no request to another host, nothing wider than a phone, text that stands out from a light page and a dark one,
a search whose first answer is the right one. `--shots FOLDER` keeps a picture of every page."""
import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from docs import SITE, build
from report import Report
from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import websocket_connect

FLAGS = '''--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
           --disable-component-update --disable-sync --disable-dev-shm-usage --remote-debugging-port=0
           --window-size=1280,1600 about:blank'''.split()
NO_CHROMIUM = "no Chromium: install Debian's package `chromium`, or name one in the variable CHROMIUM"
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


def find_chromium():
    "The browser's program, from the environment variable CHROMIUM or from PATH; None without."
    names = [os.environ.get('CHROMIUM', ''), 'chromium', 'chromium-browser', 'google-chrome', 'chrome']
    return next(filter(None, (shutil.which(n) for n in names if n)), None)


class Quiet(SimpleHTTPRequestHandler):
    "Serves the site, but says nothing about it."
    def log_message(self, *args): pass


class Tab:
    "A browser tab, spoken to over the DevTools protocol, https://chromedevtools.github.io/devtools-protocol/"
    def __init__(self, socket): self.socket, self.calls, self.events = socket, 0, []

    async def call(self, method, **params):
        "Send one command and return its result; what happens meanwhile is kept in `events`."
        self.calls += 1
        await self.socket.write_message(json.dumps({'id': self.calls, 'method': method, 'params': params}))
        while True:
            message = await self.next()
            if message.get('id') == self.calls: return message.get('result', {})

    async def next(self):
        "The next message from the browser, kept if it is an event."
        text = await asyncio.wait_for(self.socket.read_message(), 60)
        if text is None: raise ConnectionError('Chromium went away')
        message = json.loads(text)
        if 'method' in message: self.events.append(message)
        return message

    async def open(self, url):
        "Go to `url` and wait until it has loaded."
        self.events.clear()
        await self.call('Page.navigate', url=url)
        while not any(e['method'] == 'Page.loadEventFired' for e in self.events): await self.next()

    async def ask(self, script):
        "The value of a JavaScript expression on the open page."
        result = await self.call('Runtime.evaluate', expression=script, awaitPromise=True, returnByValue=True)
        return result.get('result', {}).get('value')


def wrongs(events, host):
    "Findings among the browser's events: errors, exceptions, failed requests, requests to another host."
    for event in events:
        p = event['params']
        if event['method'] == 'Runtime.exceptionThrown':
            details = p['exceptionDetails']
            yield f"exception: {details.get('exception', {}).get('description', details['text'])}"
        elif event['method'] == 'Runtime.consoleAPICalled' and p['type'] in ('error', 'assert'):
            yield f"console: {' '.join(str(a.get('value', a.get('description'))) for a in p['args'])}"
        elif event['method'] == 'Log.entryAdded' and p['entry']['level'] == 'error':
            yield f"log: {p['entry']['text']} {p['entry'].get('url', '')}"
        elif event['method'] == 'Network.requestWillBeSent':
            url = p['request']['url']
            if not url.startswith((host, 'data:', 'blob:', 'about:')): yield f'asks another host: {url[:100]}'


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


async def connect(profile):
    "Wait for the browser to say where it listens, and connect to its tab."
    port = profile/'DevToolsActivePort'
    for _ in range(600):
        if port.exists() and port.read_text().count('\n'): break
        await asyncio.sleep(.1)
    targets = await AsyncHTTPClient().fetch(f'http://127.0.0.1:{port.read_text().split()[0]}/json')
    page = next(t for t in json.loads(targets.body) if t['type'] == 'page')
    tab = Tab(await websocket_connect(page['webSocketDebuggerUrl'], max_message_size=2**28))
    for domain in ('Page', 'Runtime', 'Log', 'Network'): await tab.call(f'{domain}.enable')
    return tab


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
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen([chromium, f'--user-data-dir={profile}', *FLAGS],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try: asyncio.run(visit(report, Path(profile), f'http://127.0.0.1:{server.server_port}/', names, shots))
        finally:
            browser.terminate()
            browser.wait(30)


if __name__ == '__main__':
    report = Report()
    report.check('docs site built', build)
    browse(report, *sys.argv[2:3])
    sys.exit(report.close())
