"""Write the page of a simulated movie, open it in headless Chromium without a server, and use it by clicks: sort the
events, go from one to its place in the movie, click a nucleus there, turn the pages, judge three, and save the
corrections, which training must be able to read."""
import asyncio
import base64
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from chromium import NO_CHROMIUM, connect, find_chromium, start_chromium, wrongs
from report import Report

from nucleus_cls.core import node_name, parse_node_name
from nucleus_cls import make_video, open_movie, open_run, predict_movie, read_corrections, report_movie, simulate_movie

#: What a reader does, and what comes of it.
USE = r'''(async () => {
  const film = document.querySelector("video"), out = {};
  const cards = () => [...document.querySelectorAll(".card")];
  const press = name => document.querySelector(".bar ." + name).click();
  const judge = (card, state) => {
    const menu = card.querySelector("select");
    menu.value = state; menu.dispatchEvent(new Event("change")); };
  while (!(film.duration > 0)) await new Promise(done => setTimeout(done, 50));
  press("time"); out.frames = cards().map(c => +c.dataset.frame);
  const last = cards().at(-1);
  last.querySelector("img").click(); out.at = film.currentTime/film.duration; out.aim = +last.dataset.at;
  press("doubt"); out.doubt = cards().map(c => +c.dataset.p);
  const [one, two] = cards();
  judge(one, "stable"); judge(two, two.dataset.state);
  out.judged = [one, two].map(c => [+c.dataset.frame, +c.dataset.nucleus]);
  const look = document.querySelector(".look"), field = look.querySelector("canvas"), side = look.querySelector(".side");
  const rest = () => new Promise(done => setTimeout(done, 300)), name = () => side.querySelector(".name")?.firstChild.data.trim();
  const lit = canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
    .filter((v, i) => i % 4 < 3 && v > 60).length;
  one.querySelector("img").click(); await rest();
  out.led = name(); out.card = [one.dataset.frame, one.dataset.nucleus].map(v => v.padStart(3, "0")).join("_");
  out.tiles = [...side.querySelectorAll("canvas")].map(lit); out.field = lit(field);
  out.chances = [...side.querySelectorAll(".chance")].map(e => +e.textContent.match(/[\d.]+$/)[0]);
  out.menu = side.querySelector("select").value;
  const time = look.querySelector(".time input");
  time.value = 4; time.dispatchEvent(new Event("input")); await rest();
  out.where = look.querySelector(".time span").textContent; out.none = name() ?? "";
  const {left, top, width, height} = field.getBoundingClientRect(), [x, y] = PLACE;
  const click = () => field.dispatchEvent(new MouseEvent("click",
    {clientX: left + x*width, clientY: top + y*height, bubbles: true}));
  click(); await rest(); out.clicked = name();
  const menu = side.querySelector("select");
  menu.value = "rejected"; menu.dispatchEvent(new Event("change"));
  [...side.querySelectorAll("button")].find(b => b.textContent.startsWith("after")).click(); await rest();
  out.after = look.querySelector(".time span").textContent;
  const cell = [...document.querySelectorAll("td.go")][0];
  cell.click(); await rest(); out.cell = cell.textContent; out.gone = name();
  let saved; const make = URL.createObjectURL;
  URL.createObjectURL = blob => { saved = blob; return make(blob); };
  out.count = document.querySelector(".count").textContent;
  press("save"); out.csv = await saved.text();
  return JSON.stringify(out);
})().catch(error => JSON.stringify({error: error.stack}))'''


def write_page(folder):
    "A movie with some events, predicted, as a page with its film."
    movie = open_movie(simulate_movie('easy', seed=12, n_frames=12, n_start=14, sure_divisions=4))
    run = open_run('pretrained')
    found = predict_movie(run, movie, output_dir=folder)
    make_video(movie, found, folder/'movie.mp4', preset='quick')
    report_movie(folder/'report.html', movie, folder/'predictions.csv', run, 'movie.mp4')
    near = found.table.query('frame == 4')[['z', 'y', 'x']].to_numpy()
    alone = np.linalg.norm(near[:, None, 1:] - near[None, :, 1:], axis=2) + 1e3*np.eye(len(near))
    row = found.table.query('frame == 4').iloc[alone.min(1).argmax()]      # no other lies above or below it
    height, width = movie.image(4).shape[1:]
    return node_name(4, row.nucleus_id), [float(row.x + .5)/width, float(row.y + .5)/height]


async def use(profile, folder, shots):
    "Use the page as a reader would; return what was not as it should be."
    nucleus, place = write_page(folder)
    tab = await connect(profile)
    url = (folder/'report.html').as_uri()
    await tab.open(url)
    did = json.loads(await tab.ask(USE.replace('PLACE', str(place))) or '{}')
    if shots:
        picture = await tab.call('Page.captureScreenshot', captureBeyondViewport=True)
        (Path(shots)/'report.png').write_bytes(base64.b64decode(picture['data']))
    findings = sorted(set(wrongs(tab.events, url)))
    if 'error' in did: return [*findings, f'the page cannot be used: {did["error"]}']
    (folder/'corrections.csv').write_text(did['csv'], encoding='utf-8')
    rows = read_corrections(folder/'corrections.csv')
    promises = {'in time is not in time': did['frames'] == sorted(did['frames']),
                'least sure first is not': did['doubt'] == sorted(did['doubt']),
                'a click does not lead to its frame': abs(did['at'] - did['aim']) < .02,
                'a card does not lead to its nucleus': did['led'] == did['card'],
                'the movie is dark': did['field'] > 10_000,
                'a crop is dark': len(did['tiles']) == 3 and did['tiles'][1] > 200,
                'probabilities do not add up': abs(sum(did['chances']) - 1) < .03,
                'a judgement of a card is not known in the movie': did['menu'] == 'stable',
                'the slider does not turn to a frame': (did['where'], did['none']) == ('frame 4', ''),
                'a click finds another nucleus': did['clicked'] == nucleus,
                'its successor is not in the next frame': did['after'] == 'frame 5',
                'a name in a table does not lead to its nucleus': did['cell'] == did['gone'],
                'judgements are not counted': did['count'] == '3 judged',
                'the corrections are others': rows[['frame', 'nucleus_id']].to_numpy().tolist() ==
                                              [*did['judged'], list(parse_node_name(nucleus))]}
    return findings + [words for words, kept in promises.items() if not kept]


def check(report):
    "Make the page, start the browser with an empty profile, and use it."
    chromium, start = find_chromium(), time.monotonic()
    if not chromium: return report.line('Chromium', 0, [NO_CHROMIUM])
    with tempfile.TemporaryDirectory() as folder, start_chromium(chromium) as profile:
        findings = asyncio.run(use(profile, Path(folder), os.environ.get('SHOTS')))
    report.line('the page of a movie, used by clicks', time.monotonic() - start, findings)


if __name__ == '__main__':
    report = Report()
    check(report)
    sys.exit(report.close())
