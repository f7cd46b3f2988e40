"""Measure video: `python benchmarks/video.py` (about a minute).

Frames held in memory are drawn and encoded at 1280×720 (preset high_quality), so reading is not counted:

- frames of 56×144×144 voxels of a simulated movie, with three views, ids, counts and a growing tree,
- the same as truth beside prediction,
- the other presets,
- frames of 243×512×512 voxels with a hundred nuclei.

Each runs in a process of its own. Drawing and encoding are processor time a frame: they run side by side, so on
two free cores the larger one counts. Memory is the most a process ever held, for a short and a long film.
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from nucleus_cls.core import STATES
from nucleus_cls.lineage.graph import lineage_from_graph
from nucleus_cls.movies.movie import movie_from_arrays
from nucleus_cls.simulation.movies import simulate_movie
from nucleus_cls.lineage.states import assign_states
from nucleus_cls.video.video import make_video


class Cycle(dict):
    "Frames that come again and again: a long movie that takes no more memory than a short one."
    def __init__(self, volumes, n): super().__init__({t: volumes[t % len(volumes)] for t in range(n)})


def simulated(n):
    "Make a movie of the last ten of forty simulated frames; its lineage repeats with them."
    sim = simulate_movie('realistic', seed=0, n_frames=40)
    last = sim.frames[-10:]
    states = assign_states(lineage_from_graph(sim.graph))
    rows = [states[states.frame == last[t % 10]].assign(frame=t) for t in range(n)]
    for r in rows: r['track'], r['parent'] = range(len(r)), ''
    movie = movie_from_arrays(Cycle([sim.image(t) for t in last], n), Cycle([sim.seg(t) for t in last], n),
                              name='simulated', voxel_size=sim.voxel_size)
    return movie, pd.concat(rows, ignore_index=True)


def large(n, shape=(243, 512, 512), n_nuclei=100):
    "Make a movie of large frames with balls for nuclei."
    rng, images, segs = np.random.default_rng(0), [], []
    ball = ((np.mgrid[-11:12, -11:12, -11:12]**2).sum(0) < 121)
    for _ in range(2):
        image, seg = rng.integers(0, 60, shape, dtype=np.uint8), np.zeros(shape, np.uint16)
        for k, at in enumerate(rng.integers(0, np.array(shape) - 23, (n_nuclei, 3)), 1):
            box = tuple(slice(a, a + 23) for a in at)
            seg[box][ball], image[box][ball] = k, image[box][ball] + rng.integers(80, 190)
        images.append(image)
        segs.append(seg)
    rows = [(t, int(i)) for t in range(n) for i in np.unique(segs[t % 2])[1:]]
    table = pd.DataFrame(rows, columns=['frame', 'nucleus_id'])
    return movie_from_arrays(Cycle(images, n), Cycle(segs, n), name='large'), table


def measure(kind, n, preset, options):
    "Make one film; print frames a second, nuclei a frame and peak memory as JSON."
    movie, table = {'simulated': simulated, 'large': large}[kind](n)
    rng = np.random.default_rng(1)
    table['state'] = rng.choice(STATES, len(table), p=(.05, .1, .83, .02))
    table['confidence'] = rng.uniform(.3, 1, len(table))
    if options.get('truth'): table['true_state'] = rng.choice(STATES, len(table), p=(.05, .1, .83, .02))
    if options.pop('tree', False): options['tree'] = table
    busy = time.process_time()
    with tempfile.TemporaryDirectory() as tmp:
        made = make_video(movie, table, Path(tmp)/'movie.mp4', preset, **options)
    drawing = time.process_time() - busy
    encoding = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    print(json.dumps({'fps': made['frames_a_second'], 'nuclei': len(table)/n, 'mb': made['bytes']/1e6,
                      'drawing': 1e3*drawing/n, 'encoding': 1e3*encoding/n,
                      'gb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1e6}))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--frames', type=int, default=100, help='frames of the films (of the large ones a fifth)')
    ap.add_argument('--one', nargs=4, help=argparse.SUPPRESS)
    args = ap.parse_args()
    if args.one: return measure(args.one[0], int(args.one[1]), args.one[2], json.loads(args.one[3]))
    n = args.frames
    jobs = [('56×144×144, tree', 'simulated', n, 'high_quality', {'tree': True}),
            ('56×144×144, truth beside', 'simulated', n, 'high_quality', {'truth': True}),
            ('56×144×144, quick', 'simulated', n, 'quick', {}),
            ('56×144×144, publication', 'simulated', n, 'publication', {}),
            ('56×144×144, five times as long', 'simulated', 5*n, 'high_quality', {'tree': True}),
            ('243×512×512', 'large', max(n//5, 2), 'high_quality', {}),
            ('243×512×512, five times as long', 'large', 5*max(n//5, 2), 'high_quality', {})]
    print(f'{"film":32}{"frames":>8}{"nuclei":>8}{"frames/s":>10}{"drawing":>11}{"encoding":>11}{"MB":>7}'
          f'{"memory":>10}')
    for name, kind, length, preset, options in jobs:
        command = [sys.executable, __file__, '--one', kind, str(length), preset, json.dumps(options)]
        out = subprocess.run(command, capture_output=True, text=True, check=False,
                             env=os.environ | {'TQDM_DISABLE': '1'})
        if out.returncode: sys.exit(out.stderr)
        r = json.loads(out.stdout)
        print(f'{name:32}{length:8}{r["nuclei"]:8.0f}{r["fps"]:10.1f}{r["drawing"]:8.0f} ms'
              f'{r["encoding"]:8.0f} ms{r["mb"]:7.1f}{r["gb"]:7.2f} GB', flush=True)


if __name__ == '__main__': main()
