"Headless Chromium, started with an empty profile and spoken to over the DevTools protocol."
import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import websocket_connect

FLAGS = '''--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
           --disable-component-update --disable-sync --disable-dev-shm-usage --remote-debugging-port=0
           --window-size=1280,1600 about:blank'''.split()
NO_CHROMIUM = "no Chromium: install Debian's package `chromium`, or name one in the variable CHROMIUM"


def find_chromium():
    "The browser's program, from the environment variable CHROMIUM or from PATH; None without."
    names = [os.environ.get('CHROMIUM', ''), 'chromium', 'chromium-browser', 'google-chrome', 'chrome']
    return next(filter(None, (shutil.which(n) for n in names if n)), None)


@contextmanager
def start_chromium(chromium):
    "Run the browser with an empty profile, whose folder is given and holds all it writes; both go in the end."
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen([chromium, f'--user-data-dir={profile}', *FLAGS], env=os.environ | {'TMPDIR': profile},
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try: yield Path(profile)
        finally:
            browser.terminate()
            browser.wait(30)


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
