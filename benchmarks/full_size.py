"""One movie of full size: `python benchmarks/full_size.py` (twenty minutes on two cores; 2 GB in a folder of its own).

250 frames of 243 × 512 × 512 voxels with some hundred nuclei each, extracted, predicted and filmed by the commands a user
types, each with its time and the memory of all its processes together. Only `--drawn` frames are simulated: the movie
goes through them forth and back, and a frame that comes again is a hard link, so after its first reading it comes from
the system's memory. Going back, a division is a fusion and its second daughter ends; what is called is of no interest
here. The table goes to `full_size.csv`; run again, it draws no frame twice.
"""
import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import tifffile

from nucleus_cls import open_movie, simulate_movie
from nucleus_cls.core import to_plain
from nucleus_cls.lineage.graph import Lineage, graph_from_lineage

HERE, BIN = Path(__file__).parent, Path(sys.executable).parent
WORLD = dict(shape=(243, 512, 512), n_start=90, diameter=44., crowding=.1, voxel_um=.4)
PLACES = {'image': 'registered_images/nuclei_reg8_{}.tif', 'seg': 'registered_label_images/label_reg8_{}.tif'}
VOXEL = '0.4,0.4,0.4'


def draw(sim, folder, order):
    "Write each drawn frame once, and link it wherever it comes again."
    for kind, place in PLACES.items():
        (folder/place).parent.mkdir(parents=True, exist_ok=True)
        for t, k in enumerate(order):
            path, first = folder/place.format(t), folder/place.format(order.index(k))
            if path.exists(): continue
            if path != first:
                os.link(first, path)
                continue
            part = path.with_suffix('.part')
            tifffile.imwrite(part, getattr(sim, kind)(k), compression='zlib', compressionargs={'level': 1})
            part.rename(path)
    graph = graph_from_lineage(repeat_lineage(open_movie(sim).lineage(), order))
    (folder/'LineageGraph.json').write_text(json.dumps(to_plain(graph)))


def repeat_lineage(lineage, order):
    "Link the frames in the order they are shown; going back, a mother goes on as her first daughter did."
    nodes, parent = lineage.nodes, dict(lineage.edges[:, ::-1].tolist())
    rows = nodes.groupby('frame').indices
    shown = pd.concat([nodes.iloc[rows[k]].assign(frame=t, row=rows[k]) for t, k in enumerate(order)], ignore_index=True)
    place = {pair: i for i, pair in enumerate(zip(shown['frame'], shown['row']))}
    edges = []
    for t, (now, then) in enumerate(pairwise(order)):
        for child in rows[max(now, then)]:
            pair = (parent.get(child), child) if now < then else (child, parent.get(child))
            ends = [place.get((t + i, node)) for i, node in enumerate(pair)]
            if None not in ends: edges.append(ends)
    edges = pd.DataFrame(edges)
    forth = np.diff(order)[shown['frame'].to_numpy()[edges[0]]] > 0
    return Lineage(shown.drop(columns='row'), edges[forth | ~edges.duplicated(1)].to_numpy())


def watch(process, used):
    "Note the most memory that a process and its children held together, in bytes."
    family = psutil.Process(process.pid)
    while process.poll() is None:
        total = 0
        with suppress(psutil.Error):
            for p in [family, *family.children(recursive=True)]:
                with suppress(psutil.Error): total += p.memory_full_info().pss if sys.platform == 'linux' else p.memory_info().rss
        used.append(total)
        time.sleep(3)                                 # to look costs time itself


def run(*command):
    "Run one of our commands: seconds, and the peak memory of all its processes in GB."
    begun, used = time.perf_counter(), [0]
    process = subprocess.Popen([BIN/command[0], *map(str, command[1:])])
    watch(process, used)
    if process.returncode: sys.exit(f'{command[0]} ended with status {process.returncode}')
    return time.perf_counter() - begun, max(used)/1e9


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--folder', type=Path, default=Path('full_size'), help='where the movie and what is made of it lie')
    ap.add_argument('--n_frames', type=int, default=250, help='frames of the movie')
    ap.add_argument('--drawn', type=int, default=25, help='frames that are simulated')
    args = ap.parse_args()
    forth = list(range(args.drawn))
    order = ((forth + forth[-2:0:-1])*(args.n_frames//args.drawn + 1))[:args.n_frames]
    sim = simulate_movie('realistic', seed=8100, n_frames=args.drawn, **WORLD)
    movie, made = args.folder/'movie', args.folder/'made'
    draw(sim, movie, order)
    rows = []
    for name, command in {
            'extract': ('nucleus_extract', movie, '--voxel_size', VOXEL, '--output_dir', made/'samples'),
            'predict': ('nucleus_predict', 'pretrained', '--movie', movie, '--voxel_size', VOXEL, '--output_dir', made/'predicted'),
            'video': ('nucleus_video', movie, made/'predicted'/'predictions.csv', '--output', made/'film.mp4')}.items():
        seconds, peak = run(*command)
        rows.append(dict(command=name, frames=len(order), seconds=seconds, peak_gb=peak))
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table['nuclei'] = len(pd.read_csv(made/'predicted'/'predictions.csv'))
    table['frames_a_second'], table['nuclei_a_second'] = (table[k]/table['seconds'] for k in ('frames', 'nuclei'))
    table.round(2).to_csv(HERE/'full_size.csv', index=False)
    print(table.round(2).to_string(index=False))


if __name__ == '__main__': main()
