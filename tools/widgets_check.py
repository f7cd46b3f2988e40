"""Open notebooks with the widgets in a real JupyterLab, in headless Chromium, and use them as a person would: run the
cells, click on a nucleus, play, slide and wheel, judge samples by key and by button, and ask the kernel what came of it;
then run the two chapters that show them. `make widgets-check` makes an environment of its own for that; `SHOTS=FOLDER`
keeps pictures: those of the two windows are the ones in the chapters."""
import asyncio
import base64
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import nbformat
from chromium import NO_CHROMIUM, connect, find_chromium, start_chromium, wrongs
from notebooks import NBS, ROOT
from report import Report

#: What the notebook begins with: a small movie, predictions that follow its lineage, and others that miss a mitosis.
FIXTURE = '''
import numpy as np
import pandas as pd
from nucleus_cls import browse, extract_movie, open_movie, review_samples
from nucleus_cls.core import STATES
from nucleus_cls.lineage.states import assign_states
from nucleus_cls.prediction.decode import decode
from nucleus_cls.prediction.predictions import tabulate
from nucleus_cls.simulation.movies import simulate_movie, write_movie

movie = open_movie(write_movie(simulate_movie('tiny', seed=0, name='movie'), '.'))
true = movie.lineage()
at = true.nodes[['frame', 'nucleus_id']].to_numpy()[true.edges]
links = pd.DataFrame({'frame': at[:, 0, 0], 'source': at[:, 0, 1], 'target': at[:, 1, 1]})
rows = assign_states(true, frames=movie.frames).assign(movie=movie.name)
rows = rows.replace({'state': {'unknown': 'stable'}})
probs = np.where(rows['state'].to_numpy(object)[:, None] == np.array(STATES, object), .85, .05)
decode(tabulate(rows, probs, STATES), links).to_csv('predictions.csv')
samples = extract_movie(movie, 'samples')
probs[(rows['state'] == 'mitotic').to_numpy()] = [.06, .04, .88, .02]
tabulate(rows, probs, STATES).to_csv('doubted.csv')
'''.strip()
CELLS = (FIXTURE, "browser = browse('movie', 'predictions.csv')\nbrowser",
         "inspector = review_samples('samples', 'corrections.csv', 'doubted.csv')\ninspector")
CHAPTERS = 'browse', 'review'
#: The place of a thing on the screen, brought into view first; null while it is not there.
PLACE = '''(() => {
  const e = %s;
  if (!e || (e.tagName == "IMG" && !e.naturalWidth)) return null;
  e.scrollIntoView({block: "center"});
  const r = e.getBoundingClientRect();
  return [r.left, r.top, r.width, r.height];
})()'''
#: The notebook's part of the screen, what its kernel does, and which errors it shows.
PANEL = '[...(window.jupyterapp?.shell.widgets("main") ?? [])].find(w => w.sessionContext)'
KERNEL = f'{PANEL}?.sessionContext.session?.kernel?.status'
ERRORS = f'''{PANEL}.content.widgets.flatMap(cell => [...(cell.model.sharedModel.outputs ?? [])])
  .filter(out => out.output_type == "error").map(out => out.ename + ": " + out.evalue)'''
#: Run all cells of it.
RUN = f'''jupyterapp.shell.activateById({PANEL}.id);
jupyterapp.commands.execute("notebook:run-all-cells").then(() => 1)'''
SAVE = 'jupyterapp.commands.execute("docmanager:save").then(() => 1)'
#: Ask its kernel for the value of an expression.
ASK = PANEL + '''.sessionContext.session.kernel.requestExecute(
  {code: "", silent: true, store_history: false, user_expressions: {x: %s}}).done.then(r => {
    const said = r.content.user_expressions.x;
    return said.status == "ok" ? said.data["text/plain"] : said.ename + ": " + said.evalue;})'''
#: The two windows, pictures on the screen, and those among them that are broken.
WINDOWS = '[...document.querySelectorAll(".jp-OutputArea-output > .widget-vbox")]'
PICTURES = '[...document.querySelectorAll("img.jupyter-widgets")].filter(i => i.offsetParent)'
BROKEN = f'{PICTURES}.filter(i => i.complete && !i.naturalWidth).length'
WORDS = '[...document.querySelectorAll(".widget-html-content")].map(e => e.innerText).join("\\n")'
BUTTON = '[...document.querySelectorAll("button")].find(b => b.innerText.includes("%s"))'
HANDLE = '[...document.querySelectorAll(".noUi-handle")].filter(e => e.offsetParent)[%d]'
PLAY = '[...document.querySelectorAll(".widget-play button")][%d]'


def write_notebooks(folder):
    "Write the notebook, copies of the chapters, and a kernel that runs in this environment."
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    chapters = [next((NBS/'14_review').glob(f'*_{name}.ipynb')) for name in CHAPTERS]
    files = {'check.ipynb': made} | {f'14_review/{path.name}': nbformat.read(path, as_version=4) for path in chapters}
    words, home = [sys.executable, '-m', 'ipykernel_launcher', '-f', '{connection_file}'], folder/'jupyter'
    settings = home/'lab_settings'/'@jupyterlab'
    shutil.copytree(NBS/'images', folder/'images')
    contents = {
        home/'kernels'/'project'/'kernel.json': dict(argv=words, display_name='project', language='python'),
        settings/'apputils-extension'/'notification.jupyterlab-settings':
            dict(fetchNews='false', checkForUpdates=False),
        settings/'notebook-extension'/'tracker.jupyterlab-settings': dict(windowingMode='none')}
    for name, book in files.items():
        book.cells = [cell for cell in book.cells if 'nbdev_export()' not in cell.source]   # writes the package
        book.metadata = {'kernelspec': {'name': 'project', 'display_name': 'project', 'language': 'python'}}
        contents[folder/name] = book
    for name, content in contents.items():
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_text(json.dumps(content))
    return [name for name in files if '/' in name]


@contextmanager
def serve(folder):
    "Run JupyterLab in `folder`, for this machine alone; its address and the notebook's."
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    home, token = folder/'jupyter', secrets.token_hex(16)
    env = os.environ | {'JUPYTER_PATH': f'{home}{os.pathsep}{sys.prefix}/share/jupyter', 'TQDM_DISABLE': '1',
                        'PYTHONPATH': str(ROOT),
                        **{f'JUPYTER{k}_DIR': str(home/k.lower().strip('_'))
                           for k in ('_CONFIG', '_DATA', '_RUNTIME', 'LAB_SETTINGS', 'LAB_WORKSPACES')}}
    words = [sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', '--expose-app-in-browser',
             '--ip=127.0.0.1', f'--port={port}', f'--IdentityProvider.token={token}', f'--ServerApp.root_dir={folder}',
             '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate']
    with open(folder/'server.txt', 'w') as said:
        server = subprocess.Popen(words, cwd=folder, env=env, stdout=said, stderr=said)
        try:
            host = f'http://127.0.0.1:{port}/'
            wait_for_port(port)
            yield host, f'{host}lab/tree/%s?reset&token={token}'
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


async def kernel(tab, expression):
    "The value of an expression in the notebook's kernel, as text."
    return await tab.ask(ASK % json.dumps(expression))


async def until_kernel(tab, expression, seconds=30):
    "Wait until an expression is true in the kernel."
    for _ in range(int(seconds*5)):
        said = await kernel(tab, f'bool({expression})')
        if said == 'True': return
        await asyncio.sleep(.2)
    raise TimeoutError(f'never true in the kernel: {expression} ({said})')


async def wheel(tab, thing, by):
    "Turn the wheel over a thing on the page."
    where = await hover(tab, thing)
    await tab.call('Input.dispatchMouseEvent', type='mouseWheel', deltaX=0, deltaY=by, **where)


#: Where in the first picture a nucleus lies, as shares of width and height.
SPOT = '''(lambda b, n: (lambda at: [at[0], 1 - at[1]])(b.shown.transFigure.inverted().transform(
  b.shown.axes[0].transData.transform([(n[c] + .5)*s for c, s in zip("xy", (b.view.movie.voxel_size or (1, 1, 1))[:0:-1])])
  ).tolist()))(browser, browser.view.read(browser.time.value)[2].iloc[-1])'''


async def resize(tab, width):
    "Give the window another width, and the page a moment to follow."
    await tab.call('Emulation.setDeviceMetricsOverride', width=width, height=1457, deviceScaleFactor=1, mobile=False)
    await asyncio.sleep(1)


async def shoot(tab, shots, name, thing=None):
    "Keep a picture of the screen, or of a thing on it, where a folder for it is given."
    if not shots: return
    clip = {}
    if thing:
        left, top, width, height = await tab.ask(PLACE % thing)
        clip = {'clip': dict(x=left - 4, y=top - 4, width=width + 8, height=height + 8, scale=1)}
    picture = await tab.call('Page.captureScreenshot', **clip)
    png = base64.b64decode(picture['data'])
    if thing:
        from nucleus_cls.plot.charts import shrink_png
        png = shrink_png(png, 32)
    Path(shots).mkdir(parents=True, exist_ok=True)
    (Path(shots)/f'{name}.png').write_bytes(png)


async def use_browser(tab, said, shots):
    "Look at the first window, choose a nucleus, go through time and depth."
    broken = await tab.ask(BROKEN)
    if broken: raise ValueError(f'{broken} broken pictures before a choice')
    said('no broken picture before a choice')
    room, *widths = await tab.ask(f'''[{WINDOWS}[0], ...{WINDOWS}[0].querySelectorAll(".noUi-base")]
      .map(e => e.getBoundingClientRect().width)''')
    if widths[0] < .5*room: raise ValueError(f'sliders of {widths} pixels in {room}')
    said('the sliders are wide')
    spot = json.loads(await kernel(tab, SPOT))
    await click(tab, f'{PICTURES}[0]', *spot)
    await until_kernel(tab, 'browser.key == (0, browser.view.read(0)[2]["nucleus_id"].iloc[-1])')
    await until(tab, f'{WORDS}.includes("track of 000_")', 'the track')
    said('a click chooses a nucleus')
    left, right = await until(tab, f'''(p => p.length > 1 && p[1].naturalWidth &&
      [p[0], p[1]].map(i => i.getBoundingClientRect().toJSON()))({PICTURES})''', 'the crops')
    if right['left'] < left['right'] or right['top'] > left['bottom'] or right['right'] > 1280:
        raise ValueError(f'crops at {right}, picture at {left}')
    said('its crops are beside the picture')
    await resize(tab, 900)
    await shoot(tab, shots and Path(shots)/'steps', 'narrow')
    widths = await tab.ask(f'''[...{PICTURES}.slice(0, 2), ...{WINDOWS}[0].querySelectorAll(".noUi-base")]
      .map(e => e.getBoundingClientRect().width)''')
    if min(widths) < 100: raise ValueError(f'in a narrow window pictures and sliders are {widths} pixels wide')
    await resize(tab, 1280)
    said('in a narrow window everything is there, in more rows')
    await tab.ask(f'{HANDLE % 0}.focus()')
    await press(tab, 'ArrowRight', 39)
    await until_kernel(tab, 'browser.time.value == browser.play.value == browser.key[0] == 1')
    said('a slider moves through time, the nucleus stays chosen')
    await click(tab, PLAY % 0)
    await until_kernel(tab, 'browser.time.value >= 4')
    await click(tab, PLAY % 0)
    await until_kernel(tab, 'not browser.play.playing')
    await until_kernel(tab, f'browser.time.value == browser.play.value == {await kernel(tab, "browser.play.value")}')
    said('play runs, and stops when told')
    await wheel(tab, f'{PICTURES}[0]', 100)
    await asyncio.sleep(1)
    await until_kernel(tab, 'browser.kind.value == "projection"')
    said('over a projection the wheel is left to the page')
    await tab.ask(f'{HANDLE % 1}.focus()')
    await press(tab, 'ArrowRight', 39)
    await until_kernel(tab, 'browser.kind.value == "slice"')
    z = int(await kernel(tab, 'browser.depth.value'))
    for by, goal in ((100, z + 1), (100, z + 2), (-100, z + 1)):
        await wheel(tab, f'{PICTURES}[0]', by)
        await until_kernel(tab, f'browser.depth.value == {goal}')
        await asyncio.sleep(.2)
    said('the slider for z cuts a slice, the wheel turns through them')
    mother = '[(t, i) for t, i in browser.view.row if browser.view.table["state"][browser.view.row[t, i]] == "mitotic"]'
    await kernel(tab, f'[(setattr(browser.time, "value", t), setattr(browser.nucleus, "value", i)) for t, i in {mother}]')
    await until(tab, f'{WORDS}.includes("track of 003_")', 'the mother')
    await asyncio.sleep(1)
    await shoot(tab, shots, 'browse', f'{WINDOWS}[0]')
    await click(tab, BUTTON % 'projection')
    await until_kernel(tab, 'browser.plane is None')
    await tab.ask('document.querySelector(".widget-checkbox input").click()')
    await until_kernel(tab, 'not browser.outlined.value')
    said('buttons change what is shown')


async def use_inspector(tab, said, shots):
    "Look at the second window, judge samples by key and by button."
    await until_kernel(tab, 'inspector.review.left[0] in inspector.review.wrong')
    await until(tab, f'{WORDS}.includes("likely wrong")', 'the likely wrong state')
    said('the likely wrong state comes first')
    await until(tab, f'!!{BUTTON % "★ stable"}', "the network's choice")
    look = f'[{BUTTON % "mitotic ("}, {BUTTON % "stable"}].map(b => getComputedStyle(b).backgroundColor)'
    colors = await tab.ask(look)
    if colors != ['rgb(213, 94, 0)', 'rgb(144, 144, 144)']: raise ValueError(f'buttons are {colors}')
    said("buttons in the states' colours, the network's choice with a star")
    sides = await kernel(tab, '[t.get_text() for t in inspector.image.fig.axes[0].texts[:3]]')
    if sides != "['XY', 'XZ', 'YZ']": raise ValueError(f'the picture shows {sides}')
    said('three views of it')
    await shoot(tab, shots, 'review', f'{WINDOWS}[1]')
    await hover(tab, f'{PICTURES}.at(-1)')
    for n, key in enumerate('k3r', 1):
        await press(tab, key, ord(key.upper()))
        await until_kernel(tab, f'len(inspector.review.said) == {n}')
    await click(tab, BUTTON % 'undo')
    await until_kernel(tab, 'len(inspector.review.said) == 2')
    await click(tab, BUTTON % 'death')
    await until_kernel(tab, 'inspector.review.said["new_state"].tolist() == ["mitotic", "stable", "death"]')
    said('keys and buttons judge samples')
    await kernel(tab, '[inspector.review.skipped.update(inspector.review.left), inspector.draw()]')
    await until(tab, f'{WORDS}.includes("Nothing left")', 'the end')
    broken = await tab.ask(BROKEN)
    if broken: raise ValueError(f'{broken} broken pictures at the end')
    said('no broken picture at the end')


async def run_cells(tab, name):
    "Run all cells of the open notebook; their errors are findings."
    await until(tab, f'{PANEL}?.context.path == "{name}" && {KERNEL} == "idle"', f'{name} and its kernel')
    await tab.ask(RUN)
    await until(tab, f'{KERNEL} == "idle"', 'the end of all cells', 300)
    if errors := await tab.ask(ERRORS): raise ValueError(f'{name}: {errors}')


async def use_chapter(tab, said, name, shots):
    "Use the window that a chapter shows at its end."
    await tab.ask(PLACE % f'{WINDOWS}.at(-1)')
    await shoot(tab, shots and Path(shots)/'chapters', Path(name).stem)
    if name.endswith('browse.ipynb'):
        await tab.ask(f'{HANDLE % 0}.focus()')
        await press(tab, 'ArrowRight', 39)
        await until_kernel(tab, 'browser.time.value == 4 and browser.key[0] == 4')
    else:
        await click(tab, BUTTON % 'keep')
        await until(tab, f'{WORDS}.includes("1 kept, 0 changed")', 'a judgement')
    said(f'{name} shows its window, which works')


async def visit(tab, report, address, name, use):
    "Open a notebook, run it and use it, a line for each thing; errors in the console are findings."
    start = time.monotonic()
    def said(what):
        nonlocal start
        start, seconds = time.monotonic(), time.monotonic() - start
        report.line(what, seconds, [])
    await tab.open(address % name)
    await run_cells(tab, name)
    await until(tab, f'{PICTURES}.some(i => i.naturalWidth)', f'the windows of {name}')
    said(f'JupyterLab runs {name}')
    await use(said)


async def look(report, profile, chapters, host, address, shots):
    "Drive the page; a thing that does not happen, and errors of the page, are findings."
    tab = await connect(profile)
    async def both(said):
        await use_browser(tab, said, shots)
        await use_inspector(tab, said, shots)
    uses = {'check.ipynb': both} | {name: partial(use_chapter, tab, name=name, shots=shots) for name in chapters}
    for name, use in uses.items():
        try:
            await visit(tab, report, address, name, use)
            report.line(f'{name}: no error in the console', 0, sorted(set(wrongs(tab.events, host))))
        except (TimeoutError, ValueError) as e:
            await shoot(tab, shots, 'failed')
            report.line(name, 0, [str(e), *sorted(set(wrongs(tab.events, host)))])
        await tab.ask(SAVE)    # a page with something unsaved does not let go


def check(report, shots=None):
    "Start JupyterLab and Chromium, both with nothing of the user's."
    if not (chromium := find_chromium()): return report.line('Chromium', 0, [NO_CHROMIUM])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as tmp:
        folder = Path(tmp)/'work'
        folder.mkdir()
        chapters = write_notebooks(folder)
        with serve(folder) as (host, address), start_chromium(chromium) as profile:
            asyncio.run(look(report, profile, chapters, host, address, shots))


if __name__ == '__main__':
    report = Report()
    check(report, *sys.argv[1:2])
    sys.exit(report.close())
