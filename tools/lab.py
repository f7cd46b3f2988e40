"""Open a notebook with the widgets in a real JupyterLab, in headless Chromium, and use them as a person would: run the
cells, click on a nucleus, slide through time, judge samples by key and by button. JupyterLab goes into an environment of
its own, .venv/lab, the first time. `python tools/lab.py FOLDER` keeps pictures of what was seen."""
import asyncio
import base64
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat.v4 as nb
from browser import FLAGS, NO_CHROMIUM, connect, find_chromium, wrongs
from notebooks import ROOT
from report import Report

LAB = ROOT/'.venv'/'lab'
#: What the notebook begins with: a tiny movie, and predictions that follow its lineage.
FIXTURE = '''
import numpy as np
import pandas as pd
from nucleus_cls.review.browse import Browser
from nucleus_cls.core import STATES
from nucleus_cls.prediction.decode import decode
from nucleus_cls.samples.extract import extract_movie
from nucleus_cls.movies.open import open_movie
from nucleus_cls.prediction.predictions import tabulate
from nucleus_cls.review.review import Inspector
from nucleus_cls.simulation.movies import simulate_movie
from nucleus_cls.lineage.states import assign_states

movie = open_movie(simulate_movie('tiny', seed=0))
true = movie.lineage()
at = true.nodes[['frame', 'nucleus_id']].to_numpy()[true.edges]
links = pd.DataFrame({'frame': at[:, 0, 0], 'source': at[:, 0, 1], 'target': at[:, 1, 1]})
rows = assign_states(true, frames=movie.frames).assign(movie=movie.name)
rows = rows.replace({'state': {'unknown': 'stable'}})
probs = np.where(rows['state'].to_numpy(object)[:, None] == np.array(STATES, object), .7, .1)
predictions = decode(tabulate(rows, probs, STATES), links)
browser = Browser(movie, predictions)
'''.strip()
CELLS = (FIXTURE + '\nbrowser', "samples = extract_movie(movie, 'samples')\n"
         "Inspector(samples, 'corrections.csv', predictions)")
#: The place of a thing on the screen, brought into view first; null while it is not there.
PLACE = '''(() => {
  const e = %s;
  if (!e || (e.tagName == "IMG" && !e.naturalWidth)) return null;
  e.scrollIntoView({block: "center"});
  const r = e.getBoundingClientRect();
  return [r.left, r.top, r.width, r.height];
})()'''
#: The notebook's part of the screen, and what its kernel does.
PANEL = '[...(window.jupyterapp?.shell.widgets("main") ?? [])].find(w => w.sessionContext)'
KERNEL = f'{PANEL}?.sessionContext.session?.kernel?.status'
#: Run all cells of it.
RUN = f'''jupyterapp.shell.activateById({PANEL}.id);
jupyterapp.commands.execute("notebook:run-all-cells").then(() => 1)'''
PICTURES = '[...document.querySelectorAll("img.jupyter-widgets")]'
WORDS = '[...document.querySelectorAll(".widget-html-content")].map(e => e.innerText).join("\\n")'


def make_lab():
    "Install JupyterLab into an environment of its own, unless it is there."
    if not (LAB/'bin'/'jupyter-lab').exists():
        subprocess.run([sys.executable, '-m', 'venv', LAB], check=True)
        subprocess.run([LAB/'bin'/'pip', 'install', '-qq', 'jupyterlab'], check=True)


def write_notebook(folder):
    "Write the notebook, and a kernel that runs in the project's environment."
    made = nb.new_notebook(cells=[nb.new_code_cell(source) for source in CELLS])
    made.metadata = {'kernelspec': {'name': 'project', 'display_name': 'project', 'language': 'python'}}
    words, home = [sys.executable, '-m', 'ipykernel_launcher', '-f', '{connection_file}'], folder/'jupyter'
    for name, content in {
            folder/'check.ipynb': made,
            home/'kernels'/'project'/'kernel.json': dict(argv=words, display_name='project', language='python'),
            home/'lab_settings'/'@jupyterlab'/'apputils-extension'/'notification.jupyterlab-settings':
                dict(fetchNews='false', checkForUpdates=False)}.items():
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_text(json.dumps(content))


@contextmanager
def serve(folder):
    "Run JupyterLab in `folder`, for this machine alone; its address and the notebook's."
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    home, token = folder/'jupyter', secrets.token_hex(16)
    env = os.environ | {'JUPYTER_PATH': f'{home}{os.pathsep}{sys.prefix}/share/jupyter', 'TQDM_DISABLE': '1',
                        **{f'JUPYTER{k}_DIR': str(home/k.lower().strip('_'))
                           for k in ('_CONFIG', '_DATA', '_RUNTIME', 'LAB_SETTINGS', 'LAB_WORKSPACES')}}
    words = [LAB/'bin'/'jupyter-lab', '--no-browser', '--allow-root', '--expose-app-in-browser', '--ip=127.0.0.1',
             f'--port={port}', f'--IdentityProvider.token={token}', f'--ServerApp.root_dir={folder}',
             '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate']
    with open(folder/'server.txt', 'w') as said:
        server = subprocess.Popen(words, cwd=folder, env=env, stdout=said, stderr=said)
        try:
            host = f'http://127.0.0.1:{port}/'
            wait_for_port(port)
            yield host, f'{host}lab/tree/check.ipynb?reset&token={token}'
        finally:
            server.terminate()
            server.wait(30)


def wait_for_port(port):
    "Wait until the server listens."
    for _ in range(600):
        with socket.socket() as s:
            if not s.connect_ex(('127.0.0.1', port)): return
        time.sleep(.1)
    raise TimeoutError('JupyterLab does not start')


async def until(tab, script, what, seconds=60):
    "Ask the page until the answer is something, and return it."
    for _ in range(int(seconds*5)):
        if answer := await tab.ask(script): return answer
        await asyncio.sleep(.2)
    raise TimeoutError(f'never seen: {what}')


async def hover(tab, thing, across=.5, down=.5):
    "Move the mouse to a place in a thing on the page, and return where that is."
    left, top, width, height = await until(tab, PLACE % thing, thing)
    where = dict(x=left + across*width, y=top + down*height)
    await tab.call('Input.dispatchMouseEvent', type='mouseMoved', **where)
    return where


async def click(tab, thing, across=.5, down=.5):
    "Click at a place in a thing on the page."
    where = await hover(tab, thing, across, down)
    for kind in ('mousePressed', 'mouseReleased'):
        await tab.call('Input.dispatchMouseEvent', type=kind, button='left', clickCount=1, **where)


async def press(tab, key, code=0):
    "Press a key."
    text = {'text': key} if len(key) == 1 else {}
    await tab.call('Input.dispatchKeyEvent', type='keyDown', key=key, windowsVirtualKeyCode=code, **text)
    await tab.call('Input.dispatchKeyEvent', type='keyUp', key=key, windowsVirtualKeyCode=code)


def nucleus_to_click():
    "Where in the first picture a nucleus lies, as shares of width and height, and what the window then says."
    known = {}
    exec(FIXTURE, known)
    window = known['browser']
    n, size = window.view.read(window.time.value)[2].iloc[-1], window.view.movie.voxel_size or (1, 1, 1)
    at = window.shown.axes[0].transData.transform(((n['x'] + .5)*size[2], (n['y'] + .5)*size[1]))
    across, up = window.shown.transFigure.inverted().transform(at)
    return across, 1 - up, f'track of {window.time.value:03d}_{int(n["nucleus_id"]):03d}'


async def shoot(tab, shots, name):
    "Keep a picture of the screen, where a folder for it is given."
    if not shots: return
    picture = await tab.call('Page.captureScreenshot')
    (Path(shots)/f'{name}.png').write_bytes(base64.b64decode(picture['data']))


async def use(tab, report, folder, shots):
    "Do what a person would do, a line each; the file of corrections must say so in the end."
    start = time.monotonic()
    def said(what):
        nonlocal start
        start, seconds = time.monotonic(), time.monotonic() - start
        report.line(what, seconds, [])
    def rows(): return [line.split(',')[3:5] for line in (folder/'corrections.csv').read_text().splitlines()[1:]]
    await until(tab, f'{KERNEL} == "idle"', 'a kernel that waits for work')
    said('JupyterLab opens the notebook')
    await tab.ask(RUN)
    await until(tab, f'{PICTURES}.filter(i => i.naturalWidth).length >= 2', 'widgets')
    said('all cells run, both windows show')
    across, down, words = nucleus_to_click()
    await click(tab, f'{PICTURES}[0]', across, down)
    await until(tab, f'{WORDS}.includes("{words}")', words)
    await shoot(tab, shots, 'browse')
    said('a click chooses a nucleus')
    await tab.ask('document.querySelector(".noUi-handle").focus()')
    await press(tab, 'ArrowRight', 39)
    await until(tab, f'{WORDS}.includes("track of 001_")', 'the same track in the next frame')
    said('a slider moves through time')
    await hover(tab, f'{PICTURES}.at(-1)')
    for n, key in enumerate('k3r', 1):
        await press(tab, key, ord(key.upper()))
        await until(tab, f'/{1} kept, {n - 1} changed/.test({WORDS})', f'{n} judgements')
    await click(tab, '[...document.querySelectorAll("button")].find(b => b.innerText.startsWith("undo"))')
    await until(tab, f'/1 kept, 1 changed/.test({WORDS})', 'undo')
    await shoot(tab, shots, 'review')
    if [new for _, new in rows()][1:] != ['stable']: raise ValueError(f'corrections.csv: {rows()}')
    said('keys and buttons judge samples')


async def look(report, profile, folder, host, address, shots):
    "Drive the page; a thing that does not happen, and errors of the page, are findings."
    tab = await connect(profile)
    try:
        await tab.open(address)
        await use(tab, report, folder, shots)
        report.line('no error in the console', 0, sorted(set(wrongs(tab.events, host))))
    except (TimeoutError, ValueError) as e:
        await shoot(tab, shots, 'failed')
        report.line('JupyterLab', 0, [str(e), *sorted(set(wrongs(tab.events, host)))])


def check(report, shots=None):
    "Start JupyterLab and Chromium, both with nothing of the user's."
    if not (chromium := find_chromium()): return report.line('Chromium', 0, [NO_CHROMIUM])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as tmp:
        folder, profile = Path(tmp)/'work', Path(tmp)/'profile'
        folder.mkdir()
        write_notebook(folder)
        with serve(folder) as (host, address):
            browser = subprocess.Popen([chromium, f'--user-data-dir={profile}', *FLAGS],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try: asyncio.run(look(report, profile, folder, host, address, shots))
            finally:
                browser.terminate()
                browser.wait(30)


if __name__ == '__main__':
    report = Report()
    report.check('JupyterLab installed', make_lab)
    check(report, *sys.argv[1:2])
    sys.exit(report.close())
