"""Measure the feeding of a training: `python benchmarks/training.py` (some minutes; `--model` for another network).

A simulated movie gives 536 samples, once as a sample store and once as folders of TIFFs. Epochs over them are timed
in turn, several rounds, the quickest of each counting, and compared as ratios, since machines differ and drift. Two
recipes, each in two ways:

- `reference` (mirror, brighten, add noise) and `default` (turn, zoom and move besides),
- ours: crops cached in memory, augmented as a batch, convolved in channels-last order and, where the processor has
  it, in bfloat16; one by one: every sample read from its folder again, scaled, and augmented alone with numpy and
  scipy, and batches of 16 in the plain order in float32, as the scripts did that this project grew from.

The files were just written, so they come from memory: a cold disk makes the old way slower still. Then an epoch of
ours is taken apart: how much of it is the network's own forward and backward pass, how much is feeding. On a busy
machine, `--processor` counts processor time on one thread instead of time on the clock.
"""
import argparse
import cProfile
import json
import os
import pstats
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault('TQDM_DISABLE', '1')

import numpy as np
import tifffile
import torch
from scipy import ndimage
from torch.nn import functional as F

from nucleus_cls.simulation.movies import simulate_movie
from nucleus_cls.movies.open import open_movie
from nucleus_cls.samples.extract import extract_movie
from nucleus_cls.transforms.tensors import fit_shape, from_cache
from nucleus_cls.transforms.augment import REFERENCE, augment
from nucleus_cls.models.registry import build_model
from nucleus_cls.training.config import TrainConfig
from nucleus_cls.training.prepare import prepare_training
from nucleus_cls.training.epoch import make_optimizer, train_epoch
from nucleus_cls.training.loop import use_all_cores

N, OLD_BATCH = 536, 16


def write_folders(samples, rows, folder):
    "Write samples as the old scripts kept them: a folder each, uncompressed TIFFs and JSON beside them."
    for i, crops in samples.iter_crops(samples.table.index[rows]):
        path = folder/str(i)
        for k, name in enumerate(('t-1', 't', 't+1')):
            (path/name).mkdir(parents=True)
            tifffile.imwrite(path/name/'raw_cropped.tif', crops.raw[k])
            (path/name/'metadata.json').write_text(json.dumps(dict(frame=name)))
        tifffile.imwrite(path/'t'/'binary_label_cropped.tif', crops.mask.astype(np.uint8))
        (path/'metadata.json').write_text(json.dumps(dict(nucleus=int(i))))


def read_folder(path):
    "Read one sample: four channels in [0,1], float32 (4,64,64,64)."
    json.loads((path/'metadata.json').read_text())
    raw = np.stack([tifffile.imread(path/name/'raw_cropped.tif') for name in ('t-1', 't', 't+1')]).astype(np.float32)
    raw = (raw - raw.min())/(raw.max() - raw.min())
    return np.concatenate([raw, tifffile.imread(path/'t'/'binary_label_cropped.tif')[None] > 0])


def vary_light(x, rng, s):
    "Mirror, brighten and add noise to one sample."
    for axis in (1, 2, 3):
        if rng.random() < .5: x = np.flip(x, axis)
    x = np.array(x, np.float32)
    light = x[:3]*(1 + rng.uniform(-s.contrast, s.contrast)) + rng.uniform(-s.brightness, s.brightness)
    x[:3] = np.clip(light + rng.normal(0, s.noise, light.shape), 0, 1)
    return x


def old_sample(path, rng, s):
    "One sample the old way: read, cut, mirror, change the light."
    return vary_light(fit_shape(read_folder(path), 32), rng, s)


def scipy_sample(path, rng, s):
    "One sample with our default changes, each volume turned, zoomed and moved by scipy."
    x, angle = fit_shape(read_folder(path), 40), np.radians(rng.uniform(-s.rotation, s.rotation))
    zoom = np.exp(rng.uniform(-1, 1)*np.log1p(s.zoom))
    turn = np.array([[zoom, 0, 0], [0, zoom*np.cos(angle), -zoom*np.sin(angle)],
                     [0, zoom*np.sin(angle), zoom*np.cos(angle)]])
    offset = np.array([20.]*3) - turn @ np.array([16.]*3) + rng.uniform(-s.shift, s.shift, 3)
    cut = lambda vol, order: ndimage.affine_transform(vol, turn, offset, (32,)*3, order=order, mode='reflect')
    x = np.stack([cut(vol, order) for vol, order in zip(x, (1, 1, 1, 0))])
    x[:3] = np.clip(x[:3], 0, 1)**np.exp(rng.uniform(-1, 1)*np.log1p(s.gamma))
    return vary_light(x, rng, s)


def old_epoch(make, paths, y, model, opt, config, epoch, clock):
    "An epoch that reads and augments one by one; seconds in all and in feeding alone."
    rng, start, feeding, s = np.random.default_rng(epoch), clock(), 0., config
    model.train()
    for some in np.array_split(rng.permutation(len(paths)), len(paths)//OLD_BATCH):
        begin = clock()
        xb = torch.from_numpy(np.stack([make(paths[k], rng, s) for k in some]))
        feeding += clock() - begin
        loss = F.cross_entropy(model(xb), torch.from_numpy(y[some]))
        opt.zero_grad(); loss.backward(); opt.step()
    return clock() - start, feeding


def our_epoch(m, model, opt, schedule, config, epoch, clock):
    "An epoch of ours; seconds in all and in feeding alone, and how long each part took."
    parts = {'reading': type(m.cache).batch, 'scaling': from_cache, 'augmentation': augment,
             'forward': type(model).forward, 'backward': torch.Tensor.backward}
    profile, start = cProfile.Profile(clock), clock()
    profile.runcall(train_epoch, model, opt, schedule, m, config, epoch)
    wall, found = clock() - start, pstats.Stats(profile).stats
    spent = {}
    for part, function in parts.items():
        code = function.__code__
        spent[part] = found[code.co_filename, code.co_firstlineno, code.co_name][3]   # with all that it calls
    return wall, spent['reading'] + spent['scaling'] + spent['augmentation'], spent


def prepare_recipe(samples, config):
    "The material of a training, cut or repeated to the samples of one epoch."
    m = prepare_training(samples, config)
    few = np.resize(np.arange(len(m.at)), N)
    return replace(m, **{name: getattr(m, name)[few] for name in ('at', 'y', 'weights', 'isotropic')})


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--model', default='4ncnn', help='architecture')
    ap.add_argument('--rounds', type=int, default=3, help='rounds; the quickest of each is printed')
    ap.add_argument('--processor', action='store_true', help='processor time on one thread')
    args = ap.parse_args()
    clock = time.process_time if args.processor else time.perf_counter
    if args.processor: torch.set_num_threads(1)
    else: use_all_cores()
    folder = Path(tempfile.mkdtemp())
    try:
        movie = open_movie(simulate_movie('realistic', seed=100, name='movie', n_frames=60))
        samples = extract_movie(movie, folder/'store')
        base = TrainConfig(model=args.model, split='lineage', val_fraction=.1, epoch_samples=N, num_epochs=99)
        old = replace(base, margin=0, **REFERENCE.to_dict())
        recipes = {'reference': (old, old_sample), 'default': (base, scipy_sample)}
        material = {name: prepare_recipe(samples, config) for name, (config, _) in recipes.items()}
        rows = material['default'].cache.rows[material['default'].at]
        write_folders(samples, np.unique(rows), folder/'folders')
        paths, y = [folder/'folders'/str(i) for i in samples.table.index[rows]], material['default'].y

        build = lambda name: build_model(name, len(material['default'].states))
        model, basic = build(args.model).to(memory_format=torch.channels_last_3d), build('4ncnn')
        opt, schedule = make_optimizer(model, base, N//base.batch_size + 1)
        plain, best = torch.optim.Adam(basic.parameters(), 1e-5), {}
        for k in range(args.rounds):
            for name, (config, make) in recipes.items():
                ours = our_epoch(material[name], model, opt, schedule, config, k, clock)
                slow = old_epoch(make, paths, y, basic, plain, config, k, clock)
                for key, found in (((name, 'ours'), ours), ((name, 'one by one'), slow)):
                    if key not in best or found[0] < best[key][0]: best[key] = found
        print(f'{N} samples ({len(set(rows))} nuclei), batches of {base.batch_size}, {args.model}, '
              f'{torch.get_num_threads()} threads')
        print('recipe                    feeding     epoch   feeding : ours   epoch : ours')
        for (name, way), (wall, feed, *_) in best.items():
            ours = best[name, 'ours']
            print(f'{name:10} {way:10} {feed:8.2f} s {wall:7.2f} s {feed/ours[1]:12.1f} {wall/ours[0]:14.1f}')
        for name in recipes:
            wall, _, spent = best[name, 'ours']
            print(f'an epoch of ours ({name}): ' + ', '.join(f'{part} {100*s/wall:.0f} %' for part, s in spent.items())
                  + f'; the network\'s own share {100*(spent["forward"] + spent["backward"])/wall:.0f} %')
    finally: shutil.rmtree(folder)


if __name__ == '__main__': main()
