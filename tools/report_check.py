"""Write the page of a simulated movie, open it in headless Chromium without a server, and use it by clicks: sort the
events, go to one in the film, judge two, and save the corrections, which training must be able to read."""
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chromium import FLAGS, NO_CHROMIUM, connect, find_chromium, wrongs
from report import Report

from nucleus_cls import make_video, open_movie, open_run, predict_movie, read_corrections, report_movie, simulate_movie

#: What a reader does, and what comes of it.
USE = '''(async () => {
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
  out.count = document.querySelector(".count").textContent;
  let saved; const make = URL.createObjectURL;
  URL.createObjectURL = blob => { saved = blob; return make(blob); };
  press("save"); out.csv = await saved.text();
  return JSON.stringify(out);
})()'''


def write_page(folder):
    "A movie with some events, predicted, as a page with its film."
    movie = open_movie(simulate_movie('easy', seed=12, n_frames=12, n_start=14, sure_divisions=4))
    run = open_run('pretrained')
    found = predict_movie(run, movie, output_dir=folder)
    make_video(movie, found, folder/'movie.mp4', preset='quick')
    report_movie(folder/'report.html', movie, folder/'predictions.csv', run, 'movie.mp4')


async def use(profile, folder):
    "Use the page as a reader would; return what was not as it should be."
    tab = await connect(profile)
    url = (folder/'report.html').as_uri()
    await tab.open(url)
    did = json.loads(await tab.ask(USE) or '{}')
    findings = sorted(set(wrongs(tab.events, url)))
    if not did: return [*findings, 'the page could not be used']
    (folder/'corrections.csv').write_text(did['csv'], encoding='utf-8')
    rows = read_corrections(folder/'corrections.csv')
    promises = {'in time is not in time': did['frames'] == sorted(did['frames']),
                'least sure first is not': did['doubt'] == sorted(did['doubt']),
                'a click does not lead to its frame': abs(did['at'] - did['aim']) < .02,
                'judged cards are not counted': did['count'] == '2 judged',
                'the corrections are others': rows[['frame', 'nucleus_id']].to_numpy().tolist() == did['judged']}
    return findings + [words for words, kept in promises.items() if not kept]


def check(report):
    "Make the page, start the browser with an empty profile, and use it."
    chromium, start = find_chromium(), time.monotonic()
    if not chromium: return report.line('Chromium', 0, [NO_CHROMIUM])
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        write_page(Path(folder))
        browser = subprocess.Popen([chromium, f'--user-data-dir={profile}', *FLAGS],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try: findings = asyncio.run(use(Path(profile), Path(folder)))
        finally:
            browser.terminate()
            browser.wait(30)
    report.line('the page of a movie, used by clicks', time.monotonic() - start, findings)


if __name__ == '__main__':
    report = Report()
    check(report)
    sys.exit(report.close())
