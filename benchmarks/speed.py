"""Measure every stage: `python benchmarks/speed.py` (a quarter of an hour; `make bench`), written to `speed.csv`.

Each stage is timed in turn with two others, several rounds in one process, so that what else the machine does falls on
all three: a naive version, as a first script would do it, and a limit, below which no version of ours can get. What
is slow beyond patience is done for a few nuclei or frames and scaled up. Then the stage alone is timed while the
movie grows: in frames, in nuclei a frame, in voxels a frame. All files were just written and come from memory; torch
computes with one thread. The chapter nbs/tutorials/10_speed.ipynb shows the table and says what it means.
"""
import argparse
import json
import os
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path

os.environ |= {'TQDM_DISABLE': '1', 'OMP_NUM_THREADS': '1'}

import numpy as np
import pandas as pd
import tifffile
import torch
from imageio_ffmpeg import write_frames
from matplotlib.figure import Figure
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from scipy import ndimage
from torch.nn import functional as F

from nucleus_cls.core import STATE_COLORS, to_plain
from nucleus_cls.simulation.movies import simulate_movie
from nucleus_cls.movies.open import open_movie
from nucleus_cls.samples.extract import extract_movie
from nucleus_cls.samples.store import open_arrays
from nucleus_cls.transforms.augment import augment
from nucleus_cls.transforms.cache import load_cache
from nucleus_cls.transforms.tensors import fit_shape, from_cache
from nucleus_cls.models.pretrained import open_run
from nucleus_cls.training.config import TrainConfig
from nucleus_cls.training.epoch import has_bfloat16, make_optimizer, settle_rate, train_epoch
from nucleus_cls.training.prepare import prepare_training
from nucleus_cls.prediction.inputs import predict_volumes
from nucleus_cls.prediction.whole_movie import predict_movie, stream_movie
from nucleus_cls.video.encode import open_encoder
from nucleus_cls.video.video import make_video

IMAGE, SEG = 'registered_images/nuclei_reg8', 'registered_label_images/label_reg8'
FEW, BATCH, STEPS, SIZE = 12, 32, 4, (1280, 720)   # nuclei of a naive pass; samples a step; steps; pixels


def write_tiffs(sim, folder):
    "Write a movie as zlib-compressed TIFFs, and open it."
    root = Path(folder)/sim.name
    for t in sim.frames:
        for name, vol in ((IMAGE, sim.image(t)), (SEG, sim.seg(t))):
            (root/name).parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root/f'{name}_{t}.tif', vol, compression='zlib', compressionargs={'level': 1})
    (root/'LineageGraph.json').write_text(json.dumps(to_plain(sim.graph)))
    return open_movie(root)


# The naive versions: each is a few plain lines, without the scale, links and decoding that ours adds.

def read(movie, name, t):
    "Read one file, as most people would."
    return tifffile.imread(Path(movie.source)/f'{name}_{t}.tif')


def cut(vol, seg, n, size=64):
    "Search the whole volume for a nucleus, and cut a cube around it."
    where = np.argwhere(seg == n)
    low = (where.min(0) + where.max(0))//2 - size//2
    return np.pad(vol, size)[tuple(slice(a + size, a + 2*size) for a in low)]


def extract_naively(movie, rows, folder):
    "Write the samples of some nuclei, reading the frames for each anew."
    for t, n in rows:
        seg, path = read(movie, SEG, t), Path(folder)/f'{t}_{n}'
        path.mkdir(parents=True, exist_ok=True)
        for d in (-1, 0, 1): tifffile.imwrite(path/f'raw{d}.tif', cut(read(movie, IMAGE, t + d), seg, n))
        tifffile.imwrite(path/'mask.tif', (cut(seg, seg, n) == n).astype(np.uint8))


def load_naively(folders):
    "Read sample folders one by one, and scale each."
    out = []
    for path in folders:
        raw = np.stack([tifffile.imread(path/t/'raw_cropped.tif') for t in ('t-1', 't', 't+1')]).astype(np.float32)
        mask = tifffile.imread(path/'t'/'binary_label_cropped.tif')
        out.append(fit_shape(np.stack([*(raw - raw.min())/(raw.max() - raw.min()), mask]), 40))
    return np.stack(out)


def vary_naively(xb, s, rng):
    "Turn, zoom, move, mirror and relight a batch, sample by sample and channel by channel."
    out = []
    for x in xb:
        angle, zoom = np.radians(rng.uniform(-s.rotation, s.rotation)), 1 + rng.uniform(-s.zoom, s.zoom)
        c, n = zoom*np.cos(angle), zoom*np.sin(angle)
        turn = np.array([[zoom, 0, 0], [0, c, -n], [0, n, c]])
        start = np.array([20.]*3) - turn @ np.array([16.]*3) + rng.uniform(-s.shift, s.shift, 3)
        x = np.stack([ndimage.affine_transform(v, turn, start, (32,)*3, order=int(k < 3)) for k, v in enumerate(x)])
        for axis in (1, 2, 3): x = np.flip(x, axis) if rng.random() < .5 else x
        x = np.array(x, np.float32)
        light = np.clip(x[:3], 0, 1)**np.exp(rng.uniform(-s.gamma, s.gamma))*(1 + rng.uniform(-s.contrast, s.contrast))
        light += rng.uniform(-s.brightness, s.brightness) + rng.normal(0, s.noise, light.shape)
        x[:3] = np.clip(light, 0, 1)
        out.append(x)
    return torch.from_numpy(np.stack(out))


def predict_naively(run, nuclei, get):
    "Predict some nuclei, each with a search, a cut and a call of the network of its own."
    for t, n in nuclei:
        seg = get(SEG, t)
        raw = np.stack([cut(get(IMAGE, t + d), seg, n) for d in (-1, 0, 1)]).astype(np.float32)
        ids = [cut(get(SEG, t + d), seg, n) for d in (-1, 0, 1)]
        raw = (raw - raw.min())/(raw.max() - raw.min())
        masks = [ids[1] == n, (ids[1] > 0) & (ids[1] != n), ids[0] > 0, ids[2] > 0]
        x = fit_shape(np.concatenate([raw, masks]).astype(np.float32), 32)
        with torch.no_grad(): run.model(torch.from_numpy(x[None])).softmax(1)


def film_naively(movie, frames, states, path):
    "Draw frames with matplotlib: three projections, a contour around every nucleus, its id beside it."
    writer = write_frames(str(path), SIZE, fps=10)
    writer.send(None)
    for t in frames:
        image, seg = movie.image(t), movie.seg(t)
        fig = Figure(figsize=(12.8, 7.2), dpi=100)
        canvas = FigureCanvasAgg(fig)
        for axis, ax in enumerate(fig.subplots(1, 3)):
            ax.imshow(image.max(axis), cmap='gray')
            for n in np.unique(seg)[1:]:
                flat = (seg == n).max(axis)
                ax.contour(flat, [.5], colors=STATE_COLORS[states[t, n]])
                ax.text(*np.argwhere(flat).mean(0)[::-1], n, color='white', size=7)
        canvas.draw()
        writer.send(np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3]))
    writer.close()


# The limits.

def read_all(movie):
    "Read and unpack every file once."
    for t in movie.frames: read(movie, IMAGE, t), read(movie, SEG, t)


def read_store(path):
    "Read and unpack everything in a store once."
    for array in open_arrays(path).values():
        for t in range(array.shape[0]): array[t]


def copy_middle(xb):
    "Cut the middle out of a batch and copy it: the least that gives a new batch."
    return xb[..., 4:36, 4:36, 4:36].contiguous()


def learn(model, opt, xs, ys, fast):
    "Forward, backward and a step of the optimizer on tensors that are ready."
    model.train()
    for xb, yb in zip(xs.split(BATCH), ys.split(BATCH)):
        with torch.autocast('cpu', torch.bfloat16, enabled=fast and has_bfloat16(torch.device('cpu'))):
            logits = model(xb.contiguous(memory_format=torch.channels_last_3d) if fast else xb)
        opt.zero_grad()
        F.cross_entropy(logits.float(), yb).backward()
        opt.step()


def encode(frames, path):
    "Encode frames that are drawn already."
    with open_encoder(path, frames[0].size) as add:
        for frame in frames: add(frame)


def pick(rows, n=FEW):
    "Choose some rows, evenly."
    return rows[::max(1, -(-len(rows)//n))]


class Bench:
    "A movie and all that was made of it, so that each stage can be timed alone."
    def __init__(self, movie, run, folder):
        self.movie, self.run, self.folder, self.n = movie, run, Path(folder), 0
        self.samples = extract_movie(movie, self.folder/'samples', n_workers=1)
        self.found = predict_movie(run, movie)
        self.middle = movie.frames[len(movie.frames)//2]
        window = [self.middle + d for d in (-1, 0, 1)]
        self.stages = {'extraction': self.extract, 'loading': self.load, 'timepoint': self.timepoint,
                       'movie': self.predict, 'film': self.film}
        self.volumes = {IMAGE: {t: movie.image(t) for t in window}, SEG: {t: movie.seg(t) for t in window}}

    def new(self, name):
        "Name a place that is not there yet."
        self.n += 1
        return self.folder/f'{name}{self.n}'

    def extract(self): extract_movie(self.movie, self.new('out'), n_workers=1)
    def load(self): return load_cache(self.samples, prep=self.run.preprocess)
    def film(self): make_video(self.movie, self.found, self.new('film').with_suffix('.mp4'))
    def predict(self): predict_movie(self.run, self.movie)

    def timepoint(self):
        images, segs = ([v[self.middle + d] for d in (-1, 0, 1)] for v in self.volumes.values())
        predict_volumes(self.run, *images, segs[1], full=True, beside=(segs[0], segs[2]))

    def compare(self):
        "{stage: (ours, naive, how much of the work it does, limit)}; all are functions without arguments."
        movie, run = self.movie, self.run
        states = self.found.table.set_index(['frame', 'nucleus_id'])['state'].to_dict()
        rows = [(t, n) for t, n in states if {t - 1, t + 1} <= set(movie.frames)]   # those with a whole window
        here, some, frames = [r for r in rows if r[0] == self.middle], pick(rows), pick(movie.frames, 3)
        extract_movie(movie, self.folder/'loose', folders=True)
        folders = sorted(p.parent for p in (self.folder/'loose').glob('*/*/metadata.json'))
        drawn = self.draw_frames()
        tensors = {t: np.stack([x for _, x in stream_movie(movie, run.preprocess, ts) if x is not None])
                   for t, ts in (('here', [self.middle]), ('all', movie.frames))}
        config = settle_rate(TrainConfig(model='nucleusnet', split='random', epoch_samples=STEPS*BATCH,
                                         batch_size=BATCH, num_epochs=999))
        m = prepare_training(self.samples, config)
        model, basic = (open_run('pretrained', 'cpu').model for _ in range(2))
        opt, schedule = make_optimizer(model.to(memory_format=torch.channels_last_3d), config, STEPS)
        plain, rng = torch.optim.Adam(basic.parameters(), 1e-5), np.random.default_rng(0)
        batch = m.cache.batch(np.resize(np.arange(len(m.at)), STEPS*BATCH))
        xs = from_cache(*map(torch.from_numpy, batch), m.prep.channels)
        ys, ready = torch.zeros(len(xs), dtype=torch.long), copy_middle(xs)
        vary = lambda: [augment(xb, config, size=32) for xb in xs.split(BATCH)]
        return {
            'extraction': (self.extract, lambda: extract_naively(movie, some, self.folder/'naive'),
                           len(some)/len(self.samples), lambda: read_all(movie)),
            'loading': (self.load, lambda: load_naively(folders), 1,
                        lambda: read_store(self.folder/'samples'/f'{movie.name}.zarr')),
            'augmentation': (vary, lambda: vary_naively(xs.numpy(), config, rng), 1,
                             lambda: [copy_middle(xb) for xb in xs.split(BATCH)]),
            'training step': (lambda: train_epoch(model, opt, schedule, m, config, 0),
                              lambda: learn(basic, plain, vary_naively(xs.numpy(), config, rng), ys, False), 1,
                              lambda: learn(model, opt, ready, ys, True)),
            'timepoint': (self.timepoint,
                          lambda: predict_naively(run, pick(here), lambda what, t: self.volumes[what][t]),
                          len(pick(here))/len(here), lambda: run.probs(tensors['here'])),
            'movie': (self.predict, lambda: predict_naively(run, some, partial(read, movie)),
                      len(some)/len(self.found), lambda: run.probs(tensors['all'])),
            'film': (self.film, lambda: film_naively(movie, frames, states, self.folder/'naive.mp4'),
                     len(frames)/len(movie.frames), lambda: encode(drawn, self.folder/'bare.mp4')),
        }

    def draw_frames(self):
        "Draw the film's frames; they stay in memory."
        make_video(self.movie, self.found, self.folder/'kept.mp4', keep_frames=str(self.folder/'kept'))
        return [Image.open(p).convert('RGB') for p in sorted((self.folder/'kept').glob('*.png'))]


class Balls:
    "A movie of balls 14 voxels wide on a grid, in noise: as many frames, nuclei and voxels as asked for."
    name, voxel_size = 'balls', (1., 1., 1.)

    def __init__(self, frames=8, nuclei=16, shape=(48, 192, 192)):
        rng = np.random.default_rng(0)
        self.frames, self.shape = list(range(frames)), shape
        self.noise = rng.integers(95, 115, shape).astype(np.uint16)
        grid = [(z, y, x) for z in range(9, shape[0] - 8, 17) for y in range(9, shape[1] - 8, 17)
                for x in range(9, shape[2] - 8, 17)]
        self.centres = [grid[k] for k in np.linspace(0, len(grid) - 1, nuclei).astype(int)]
        self.ball = (np.mgrid[-7:8, -7:8, -7:8]**2).sum(0) < 50
        names = [[f'{t:03d}_{k:03d}' for k in range(1, nuclei + 1)] for t in self.frames]
        links = [{'EndNodes': pair} for a, b in pairwise(names) for pair in zip(a, b)]
        self.graph = {'G': {'Nodes': [{'Name': name} for some in names for name in some], 'Edges': links}}

    def seg(self, t):
        seg = np.zeros(self.shape, np.uint16)
        for k, centre in enumerate(self.centres, 1): seg[tuple(slice(c - 7, c + 8) for c in centre)][self.ball] = k
        return seg

    def image(self, t): return np.roll(self.noise, 7*t, axis=2) + np.uint16(150)*(self.seg(t) > 0)


#: what grows, and how it is asked for; the first is the smallest
GROWTH = {'frames': [dict(frames=n) for n in (4, 8, 16, 32)], 'nuclei': [dict(nuclei=n) for n in (4, 16, 64, 128)],
          'voxels': [dict(shape=s) for s in ((48, 192, 192), (48, 192, 384), (48, 384, 384), (96, 384, 384))]}


def measure_size(sim, what):
    "Tell how large a movie is."
    return {'frames': len(sim.frames), 'nuclei': len(sim.centres), 'voxels': int(np.prod(sim.shape))}[what]


def timed(function):
    "Tell how many seconds a call takes."
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--frames', type=int, default=24, help='frames of the simulated embryo')
    ap.add_argument('--rounds', type=int, default=5, help='rounds of the comparison; growth takes three')
    ap.add_argument('--output', default=str(Path(__file__).with_suffix('.csv')), help='table to write')
    args = ap.parse_args()
    torch.set_num_threads(1)
    run, out = open_run('pretrained', 'cpu'), []

    def note(stage, way, grows, size, number, seconds):
        out.append(dict(stage=stage, way=way, grows=grows, size=size, round=number, seconds=float(f'{seconds:.4g}')))
        pd.DataFrame(out).to_csv(args.output, index=False)

    with tempfile.TemporaryDirectory() as folder:
        sim = simulate_movie('realistic', seed=0, n_frames=args.frames)
        stages = Bench(write_tiffs(sim, folder), run, folder).compare()
        for number in range(-1, args.rounds):   # round -1 warms up
            for stage, (ours, naive, share, limit) in stages.items():
                took = {'ours': timed(ours), 'naive': timed(naive)/share, 'limit': timed(limit)}
                if number < 0: continue
                for way, seconds in took.items(): note(stage, way, '', '', number, seconds)
                print(f'{stage:14} {took["ours"]:8.2f} s   naive {took["naive"]/took["ours"]:7.1f} ×   '
                      f'{took["ours"]/took["limit"]:5.2f} × the limit', flush=True)
    with ExitStack() as stack:
        benches = {}
        for grows, settings in GROWTH.items():
            for how in settings:
                sim, folder = Balls(**how), stack.enter_context(tempfile.TemporaryDirectory())
                benches[grows, measure_size(sim, grows)] = Bench(write_tiffs(sim, folder), run, folder)
        for number in range(3):
            for (grows, size), b in benches.items():
                note('extraction', 'limit', grows, size, number, timed(partial(read_all, b.movie)))
                for stage, ours in b.stages.items():
                    if (stage, grows) != ('timepoint', 'frames'): note(stage, 'ours', grows, size, number, timed(ours))
                print(f'round {number}: {grows} {size}', flush=True)


if __name__ == '__main__': main()
