"""Movies of another hand: `python benchmarks/foreign.py` (some ten minutes on two cores).

What is only ever tried on the movies of one simulator may have learned the simulator. This script draws movies in its
own way and shares no line with `nucleus_cls.simulation`: ellipsoids with a chromatin texture of waves and dark nucleoli,
a mitosis of prophase, prometaphase, metaphase and anaphase, a death that shrinks, brightens and breaks into pieces.
Nothing is trained or chosen on them. The shipped networks predict them as they are; every nucleus is scored as it is
called, and as it would be at the best threshold of its probability, which only the truth knows: what lies between the
two is lost by the decision, not by the network. The table goes to `foreign.csv`.

With `--train` (an hour or two more) both architectures are then trained with all defaults on seven such movies, one of
each kind of volumes, and predict the same movies as before: rows `trained`.
"""
import argparse
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

HERE = Path(__file__).parent
KINDS = {   # shape (Z,Y,X); voxel and radius, µm; nuclei at first; step, radii a frame; noise; frames of a mitosis;
            # share of masks lost for a frame; jumps of the stage, radii
    'embryo': dict(shape=(48, 120, 120), voxel=(1., .5, .5), radius=5., n=14, step=.08, noise=1., mitosis=4),
    'tissue': dict(shape=(40, 128, 128), voxel=(1., .4, .4), radius=3.6, n=45, step=.05, noise=2., mitosis=3),
    'walkers': dict(shape=(40, 160, 160), voxel=(1., .5, .5), radius=4.5, n=18, step=.45, noise=1.5, mitosis=3),
    'slice': dict(shape=(1, 300, 300), voxel=(1., .4, .4), radius=4.5, n=40, step=.1, noise=1.5, mitosis=4),
    'coarse': dict(shape=(20, 90, 90), voxel=(2.5, .8, .8), radius=5., n=25, step=.1, noise=1.5, mitosis=2),
    'fine': dict(shape=(50, 170, 170), voxel=(.6, .25, .25), radius=4., n=9, step=.1, noise=2.5, mitosis=4),
    'thin': dict(shape=(4, 200, 200), voxel=(2.5, .4, .4), radius=4.5, n=25, step=.1, noise=1.5, mitosis=3),
    'gaps': dict(shape=(40, 128, 128), voxel=(1., .4, .4), radius=3.6, n=45, step=.05, noise=2., mitosis=3, lost=.02),
    'jumps': dict(shape=(40, 160, 160), voxel=(1., .5, .5), radius=4.5, n=18, step=.1, noise=1.5, mitosis=3, jump=2.)}


@dataclass
class Cell:
    track: int
    parent: int
    at: np.ndarray              # µm
    axes: np.ndarray            # relative half axes
    turn: Rotation
    bright: float
    due: int                    # frame of its division or death
    dies: bool = False
    born: int = -99
    waves: np.ndarray = None    # chromatin texture
    nucleoli: np.ndarray = None
    bits: np.ndarray = None     # where the pieces of a dying nucleus go
    last: np.ndarray = field(default_factory=lambda: np.zeros(3))


def make_cell(rng, track, parent, at, t, k, born=-99):
    "Draw a cell in interphase; in one slice it cannot turn out of the plane."
    flat = k['shape'][0] == 1
    turn = Rotation.from_rotvec([0, 0, rng.uniform(0, 6)]) if flat else Rotation.random(random_state=rng)
    return Cell(track, parent, at, rng.uniform(.82, 1.2, 3), turn, rng.uniform(.7, 1.3),
                t + int(rng.integers(8, 36) if born < 0 else rng.integers(16, 40)), bool(rng.random() < .3), born,
                rng.normal(0, 3.5, (6, 3)), rng.uniform(-.5, .5, (3, 3)), rng.normal(0, .6, (4, 3)))


def describe_phase(c, t, k):
    "Say how a cell looks at t: half axes, brightness, share of texture, pieces."
    left, age = c.due - t, t - c.born
    if c.dies and left < 5:                           # shrinks, brightens, then breaks up
        x = np.clip((4 - left)/4, 0, 1)
        return c.axes*(1 - .42*x), 1 + 1.1*x, 1 - x, x > .55
    if not c.dies and left < k['mitosis']:            # rounds up, condenses, becomes a plate
        x = (k['mitosis'] - left)/k['mitosis']
        if left == 0: return np.array([1.05, .95, .42]), 2.1, .3, False
        return c.axes*(1 - x*.2) + x*.1, 1 + 1.1*x, 1 + x, False
    if age == 0: return np.array([.72, .68, .42]), 1.9, .3, False      # late anaphase
    if age < 5: return c.axes*(.62 + .075*age), 1.5 - .1*age, .7, False
    return c.axes, 1., 1., False


def draw_cell(c, t, k, grid, image, seg, rng):
    "Add a cell's light to the image and its mask to the segmentation."
    axes, bright, texture, broken = describe_phase(c, t, k)
    half = axes*k['radius']
    reach = k['radius']*1.7/np.array(k['voxel'])
    mid = c.at/np.array(k['voxel'])
    lo = np.maximum(np.floor(mid - reach), 0).astype(int)
    hi = np.minimum(np.ceil(mid + reach) + 1, k['shape']).astype(int)
    if (hi <= lo).any(): return
    box = tuple(slice(a, b) for a, b in zip(lo, hi))
    place = np.stack(np.meshgrid(*(np.arange(a, b)*v for a, b, v in zip(lo, hi, k['voxel'])), indexing='ij'), -1) - c.at
    if k['shape'][0] == 1: place[..., 0] = 0
    own = c.turn.inv().apply(place.reshape(-1, 3)).reshape(place.shape)/half
    r = np.linalg.norm(own, axis=-1)
    r = r*(1 + .06*np.sin(own @ c.waves[0] + 1) + .04*np.sin(own @ c.waves[1]))       # not a perfect ellipsoid
    inside = 1/(1 + np.exp((r - 1)*9))
    chromatin = 1 + .16*texture*sum(np.sin(own @ w*1.6 + i) for i, w in enumerate(c.waves))
    if not broken and bright < 1.4:
        for n in c.nucleoli: chromatin = chromatin*(1 - .6*np.exp(-((own - n)**2).sum(-1)/.05))
    light, mask = inside*np.clip(chromatin, .1, None), r < 1.05
    if broken:
        blobs = [np.exp(-((own - b)**2).sum(-1)/(.1 + .05*i)) for i, b in enumerate(c.bits)]
        light, mask = 1.3*np.max(blobs, 0), np.max(blobs, 0) > .35
    image[box] += light*bright*c.bright
    free = mask & (seg[box] == 0)
    seg[box][free] = c.track


def move_cells(cells, k, rng):
    "Let cells walk, and push apart those that overlap."
    size, r = np.array(k['shape'])*np.array(k['voxel']), k['radius']
    free = np.array(k['shape']) > 1
    for c in cells:
        c.last = .6*c.last + .8*rng.normal(0, k['step']*r/np.sqrt(free.sum()), 3)*free
        c.at = c.at + c.last
        c.turn = Rotation.from_rotvec(rng.normal(0, .1, 3)*([0, 0, 1] if not free[0] else [1, 1, 1]))*c.turn
    for _ in range(8):
        at = np.array([c.at for c in cells])
        gap = at[:, None] - at[None]
        far = np.maximum(np.linalg.norm(gap, axis=-1), 1e-9) + np.eye(len(cells))*99
        push = (gap/far[..., None]*np.clip(1.75*r - far, 0, None)[..., None]*.3).sum(1)*free
        for c, p in zip(cells, push): c.at = np.clip(c.at + p, .4*r*free, size - .4*r*free)


def divide_cells(cells, t, k, rng, next_id):
    "Let those that are due divide or die."
    out = []
    for c in cells:
        if t <= c.due: out.append(c); continue
        if c.dies: continue
        axis = c.turn.apply([0, 0, 1.])
        if k['shape'][0] == 1: axis = np.array([0, *c.turn.apply([0, 0, 1.])[1:]]) + [0, .001, 0]
        axis = axis/np.linalg.norm(axis)
        for sign in (-1, 1):
            out.append(make_cell(rng, next_id, c.track, c.at + sign*axis*k['radius']*rng.uniform(.55, .95), t, k, t))
            out[-1].turn, out[-1].bright = c.turn, c.bright
            next_id += 1
    return out, next_id


def draw_movie(kind, seed, n_frames=30):
    "Draw a movie: images, segmentations, voxel size, and the parents of its tracks."
    k, rng = KINDS[kind], np.random.default_rng([seed, *kind.encode()])
    size = np.array(k['shape'])*np.array(k['voxel'])
    cells = [make_cell(rng, i + 1, 0, rng.uniform(.15, .85, 3)*size, 0, k) for i in range(k['n'])]
    if k['shape'][0] == 1:
        for c in cells: c.at[0] = 0
    for _ in range(6): move_cells(cells, k | dict(step=0.), rng)
    next_id, images, segs, parents, stage = k['n'] + 1, [], [], {}, np.zeros(3)
    shade = 1 + .25*np.linspace(-1, 1, k['shape'][1])[None, :, None]
    for t in range(n_frames):
        if t:
            cells, next_id = divide_cells(cells, t, k, rng, next_id)
            move_cells(cells, k, rng)
            if rng.random() < .15: stage = rng.normal(0, k.get('jump', 0)*k['radius'], 3)*(0, 1, 1)
        for c in cells: c.at = c.at + stage
        image, seg = np.zeros(k['shape']), np.zeros(k['shape'], np.int32)
        for c in rng.permutation(np.array(cells, object)): draw_cell(c, t, k, None, image, seg, rng)
        for c in cells: c.at = c.at - stage
        parents |= {c.track: c.parent for c in cells}
        for c in cells:
            if rng.random() < k.get('lost', 0): seg[seg == c.track] = 0
        blur = np.array([1.6, .45, .45])*np.array([k['shape'][0] > 1, 1, 1])/np.array(k['voxel'])
        image = gaussian_filter(image, blur)*260*shade + 40
        image = rng.poisson(image/k['noise'])*k['noise'] + rng.normal(100, 5, image.shape)
        images.append(np.clip(image, 0, 65535).astype(np.uint16))
        segs.append(seg)
    return images, segs, k['voxel'], parents


def find_truth(segs, parents):
    "Say the state of every nucleus by our rules from masks and parents: mitotic, new_daughter, stable or death."
    seen = {}
    for t, seg in enumerate(segs):
        for i in np.unique(seg[seg > 0]).tolist(): seen.setdefault(i, []).append(t)
    first, last = ({i: f(ts) for i, ts in seen.items()} for f in (min, max))
    children = {i: [c for c, p in parents.items() if p == i and c in seen] for i in seen}
    rows = []
    for t, seg in enumerate(segs):
        edge = np.unique(np.concatenate([np.take(seg, j, a).ravel() for a in (0, 1, 2) if seg.shape[a] > 1 for j in (0, -1)]))
        for i in np.unique(seg[seg > 0]).tolist():
            born = t == first[i] and parents[i] in children and len(children[parents[i]]) == 2
            truth = 'new_daughter' if born else 'stable'
            if t == last[i] and t < len(segs) - 1: truth = 'mitotic' if len(children[i]) == 2 else 'death'
            rows.append((t, i, truth, parents[i] if born else i, truth == 'death' and i in edge))
    return pd.DataFrame(rows, columns=['frame', 'nucleus_id', 'truth', 'mother', 'lost'])


def predict(run, kind, seed, n_frames):
    "Predict a movie; a row a nucleus whose neighbours in time are there, with its truth."
    from nucleus_cls import movie_from_arrays, predict_movie
    images, segs, voxel, parents = draw_movie(kind, seed, n_frames)
    movie = movie_from_arrays(images, segs, name=f'{kind}_{seed}', voxel_size=voxel)
    table = predict_movie(run, movie).table.merge(find_truth(segs, parents), on=['frame', 'nucleus_id'])
    inner = ~table['quality'].fillna('').str.contains('no_t')
    return table[inner & ~table['lost']]


def find_graph(truth):
    "Turn the truth of a movie into its lineage, in the form of LineageGraph.json; links lead over frames without a mask."
    name = lambda node: f'{node[0]:03d}_{node[1]:03d}'
    last, links = {}, []
    for frame, here in truth.groupby('frame'):
        nodes = [(frame, i) for i in here['nucleus_id']]
        before = [last.get(i) for i in here['mother']]
        links += [{'EndNodes': [name(a), name(b)]} for a, b in zip(before, nodes) if a]
        last |= {i: (t, i) for t, i in nodes}
    there = sorted(zip(truth['frame'], truth['nucleus_id']))
    return {'G_based_on_nn': {'Edges': links, 'Nodes': [{'Name': name(node)} for node in there]}}


def train(architecture, folder, n_frames):
    "Train with all defaults on a movie of each kind of volumes, by the command line; the run's folder."
    from nucleus_cls import extract_movie, movie_from_arrays
    run, samples = folder/architecture, folder/'samples'
    for kind in KINDS:
        if KINDS[kind]['shape'][0] < 10 or (samples/f'{kind}_41.zarr').exists(): continue
        images, segs, voxel, parents = draw_movie(kind, 41, n_frames)
        movie = movie_from_arrays(images, segs, find_graph(find_truth(segs, parents)), f'{kind}_41', voxel)
        extract_movie(movie, samples)
    words = ['nucleus_train', samples, '--model', architecture, '--output_dir', run, '--resume']
    subprocess.run([str(Path(sys.executable).parent/words[0]), *map(str, words[1:])], check=True)
    return run


def score(table):
    "Score each state as called and at the best threshold."
    from sklearn.metrics import precision_recall_curve
    found = {}
    for state in ('mitotic', 'new_daughter', 'stable', 'death'):
        true, called = table['truth'] == state, table['state'] == state
        p, r, _ = precision_recall_curve(true, table[f'p_{state}'].fillna(0))
        found |= {f'n {state}': int(true.sum()), f'f1 {state}': 2*(true & called).sum()/max((true.sum() + called.sum()), 1),
                  f'best {state}': float((2*p*r/np.maximum(p + r, 1e-9)).max())}
    return found | dict(macro_f1=np.mean([found[f'f1 {s}'] for s in ('mitotic', 'new_daughter', 'stable', 'death')]))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--kinds', default=','.join(KINDS), help='kinds of movies')
    ap.add_argument('--runs', default='pretrained,pretrained:randomised_4ncnn', help='networks')
    ap.add_argument('--movies', type=int, default=2, help='movies of each kind')
    ap.add_argument('--n_frames', type=int, default=30, help='frames of each')
    ap.add_argument('--seed', type=int, default=21, help='seed of the first movie')
    ap.add_argument('--keep', default='', help='file for the predictions')
    ap.add_argument('--train', type=Path, help='folder in which to train on such movies, too')
    args = ap.parse_args()
    from nucleus_cls import open_run
    rows, tables = [], []
    runs = {name: name for name in args.runs.split(',') if name}
    if args.train: runs |= {f'trained {k}': train(k, args.train, args.n_frames) for k in ('nucleusnet', '4ncnn')}
    for name, place in runs.items():
        run = open_run(place)
        for kind in args.kinds.split(','):
            parts = [predict(run, kind, args.seed + j, args.n_frames).assign(kind=kind, run=name)
                     for j in range(args.movies)]
            tables.append(pd.concat(parts, ignore_index=True))
            rows.append(dict(run=name, kind=kind, nuclei=len(tables[-1])) | score(tables[-1]))
            print({k: round(v, 3) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    new, path = pd.DataFrame(rows).round(3), HERE/'foreign.csv'
    old = pd.read_csv(path) if path.exists() else new[:0]
    whole = pd.concat([old[~old['run'].isin(new['run'])], new])                # other runs keep their rows
    whole.sort_values('run', kind='stable').to_csv(path, index=False)
    if args.keep: pd.concat(tables).to_csv(args.keep, index=False)


if __name__ == '__main__': main()
