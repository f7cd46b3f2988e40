"""Build the site and open every page in headless Chromium, as a reader would: no errors in the console, no missing
pictures, no request to another host, a search that finds something. `--shots FOLDER` keeps a picture of every page."""
import asyncio
import base64
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from chromium import FLAGS, NO_CHROMIUM, connect, find_chromium, wrongs
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


class Quiet(SimpleHTTPRequestHandler):
    "Serves the site, but says nothing about it."
    def log_message(self, *args): pass


async def look(tab, host, name, shots=None):
    "Open one page and return what is wrong with it; a picture of it goes into the folder `shots`."
    await tab.open(host + name)
    findings = await tab.ask(LOOK) or []
    if await tab.ask(SEARCH) == 0: findings.append('searching for "nucleus" finds nothing')
    if shots:
        await tab.ask('document.querySelector("#quarto-search input").value = ""; document.body.click()')
        picture = await tab.call('Page.captureScreenshot', captureBeyondViewport=True)
        (Path(shots)/f'{Path(name).stem}.png').write_bytes(base64.b64decode(picture['data']))
    return findings + sorted(set(wrongs(tab.events, host)))


async def visit(report, profile, host, names, shots=None):
    "Look at each page in turn, a line each."
    tab = await connect(profile)
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
