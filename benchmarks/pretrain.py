"""Make the network that ships with the package: `python benchmarks/pretrain.py` (one to two hours on two cores).

Movies are simulated, each of a world of its own (`nucleus_cls.simulation.randomise`), and their samples extracted; a network is
trained on most of them and judged by the rest, and by movies of two presets it never saw. Its folder, with
`best_model.safetensors`, `config.json` and `model_card.md`, is written last. Whatever was finished stays in the folder
WORK: after an interruption the same command goes on. No real image is read.
"""
import argparse
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

TRAIN_SEED, HELD_SEED = 100, 200   # seeds of the movies to train on, and of those held out
PRESETS = ('realistic', 'hard')    # the network is judged by these too, two movies each
FLAT = 2                          # every second world is seen in one plane
STATES = ('mitotic', 'new_daughter', 'stable', 'death')


def make_store(job):
    "Simulate one movie in memory and extract its samples."
    from nucleus_cls.samples.extract import extract_movie
    from nucleus_cls.movies.open import open_movie
    from nucleus_cls.simulation.randomise import simulate_world
    from nucleus_cls.simulation.movies import simulate_movie
    world, seed, k, folder = job
    name = f'{world}_s{seed}_{k:03d}'
    if not (Path(folder)/f'{name}.zarr'/'store.json').is_file():
        movie = open_movie(simulate_world((seed, k), name) if world == 'random' else
                           simulate_movie(world, (seed, k), name, n_frames=30))
        if world == 'random' and k % FLAT == 0: movie = flatten(movie, k)
        extract_movie(movie, folder, register='auto', n_workers=1)
    return name


def flatten(movie, seed):
    "Project a movie, or a slab of it, to one plane: the brightest voxel of each pixel, or the mean; ids likewise."
    import numpy as np
    from nucleus_cls.movies.movie import movie_from_arrays
    rng, images, segs = np.random.default_rng(seed), {}, {}
    brightest, slab = rng.random() < .7, rng.random() < .4
    for t in movie.frames:
        image, seg = movie.image(t), movie.seg(t)
        n = len(image)
        part = slice(n//3, 2*n//3 + 1) if slab else slice(None)
        image, seg = image[part], seg[part]
        nearest = np.where(seg > 0, image, 0).argmax(0)[None]
        images[t] = image.max(0, keepdims=True) if brightest else image.mean(0, keepdims=True).astype(image.dtype)
        segs[t] = np.take_along_axis(seg, nearest, 0)
    return movie_from_arrays(images, segs, movie.lineage(), movie.name, movie.voxel_size)


def make_samples(work, n_movies, n_held, n_workers):
    "Make all stores; return the names of the movies to train on, held out, and of the presets."
    jobs = [('random', TRAIN_SEED, k, work/'samples') for k in range(1, n_movies + 1)]
    jobs += [('random', HELD_SEED, k, work/'samples') for k in range(1, n_held + 1)]
    jobs += [(preset, HELD_SEED, k, work/'presets') for preset in PRESETS for k in (1, 2)]
    os.environ.setdefault('TQDM_DISABLE', '1')
    names = []
    with ProcessPoolExecutor(n_workers, get_context('spawn')) as pool:
        for name in pool.map(make_store, jobs):
            names.append(name)
            print(f'{len(names)} of {len(jobs)} movies: {name}', flush=True)
    return names[:n_movies], names[n_movies:n_movies + n_held]


MIX = .2   # share of the weights of --mix


def mix(run, other, samples):
    "Mix in a share of the weights of an earlier network, and calibrate and score anew."
    from nucleus_cls.evaluation.train import finish_run
    from nucleus_cls.models.pretrained import open_run
    from nucleus_cls.models.run import hash_weights
    from safetensors.torch import save_file
    before, after = open_run(other, 'cpu').model.state_dict(), run.model.cpu().state_dict()
    mean = {k: MIX*before[k] + (1 - MIX)*v if v.is_floating_point() else v for k, v in after.items()}
    run.model.load_state_dict(mean)
    save_file({k: v.contiguous() for k, v in mean.items()}, run.folder/'mixed.safetensors')
    run.config['weights'] = hash_weights(run.folder/'mixed.safetensors')
    finish_run(run, samples)
    return run.folder/'mixed.safetensors'


def judge(run, work, held):
    "Score every nucleus of movies that the network was not trained on: a row a world."
    from nucleus_cls.evaluation.evaluate import evaluate
    from nucleus_cls.samples.samples import open_samples
    own, presets, rows = open_samples(work/'samples'), open_samples(work/'presets'), []
    worlds = {'random worlds': (own, held)}
    worlds |= {p: (presets, [f'{p}_s{HELD_SEED}_{k:03d}' for k in (1, 2)]) for p in PRESETS}
    for world, (samples, movies) in worlds.items():
        scores = evaluate(run, samples, movies=movies)['every_nucleus']
        rows.append((world, len(movies), scores))
    return rows


def card(run, scores, args):
    "Write the model card."
    c, counts = run.config, run.config['split']['counts']
    number = lambda v: '–' if v is None else f'{v:.2f}'
    lines = ['| held-out movies | macro-F1 | ' + ' | '.join(f'AP {s} (n)' for s in STATES) + ' |',
             '|---|---|' + '---|'*len(STATES)]
    for world, n, s in scores:
        cells = [s['per_state'].get(k) for k in STATES]
        cells = ['–' if v is None else f'{number(v["average_precision"])} ({v["support"]})' for v in cells]
        lines.append(f'| {world}, {n} movies | {number(s["macro_f1"])} | ' + ' | '.join(cells) + ' |')
    table, trained = '\n'.join(lines), ', '.join(f'{n} {s}' for s, n in counts['train'].items())
    calibrated = (', and calibrated its probabilities' if c.get('calibration') else
                  '; its probabilities are not calibrated')
    start = ''
    if args.init: start = f'It started from the weights `{args.init}` of the version before. '
    if args.mix: start += (f'Of the weights, {MIX:.0%} are those of `{args.mix}`: the new ones alone see more deaths in a real '
                           'embryo of eight cells, of which there are none. ')
    doing = f"""## How it does

Every nucleus of movies it was not trained on; AP is the average precision, n the number of true events.

{table}

The presets played no part in the training; random worlds, where listed, also picked the epoch.

""" if scores else ''
    return f"""# The network `{args.name}`

A `{c['architecture']}` of {c['n_parameters']:,} parameters that tells {', '.join(c['states'])} apart, from a nucleus \
at frames t−1, t and t+1 in a cube of {c['preprocessing']['tensor_size']} voxels. It comes with nucleus_cls, under \
the same licence.

## What it is for

A first look at a movie nobody has annotated, and a start for training on a few samples of your own. Look at what it \
calls an event before you count on it.

## How it was made

`python benchmarks/pretrain.py --model {c['architecture']} --n_movies {args.n_movies} --n_held {args.n_held} --num_epochs \
{args.num_epochs}{f' --init {args.init}' if args.init else ''}{f' --mix {args.mix}' if args.mix else ''}`

Trained on {len(c['split']['train_movies'])} simulated movies, each with settings drawn at random \
(`nucleus_cls.simulation.randomise`, seed {TRAIN_SEED}): {trained}, after common states were capped. \
In four of ten worlds nuclei walk, and every second is seen in one plane. {start}{len(c['split']['val_movies'])} more such movies picked the best epoch, with a macro-F1 of \
{c['best']['val_macro_f1']:.2f} on their nuclei, capped too{calibrated}.

{doing}## What it has never seen

- a real image: its nuclei are ellipsoids with random textures, under a Gaussian blur
- nuclei read at another width than about 14 voxels: give it the scale by which a movie is read (`--scale auto`)
- light other than that of a histone or DNA label; membranes, cytoplasm, a second channel
- frames more than 15 or less than 4 minutes apart
- polar bodies, multipolar or failed divisions, binucleate cells, micronuclei
- a death other than one that shrinks, brightens and falls to pieces
- nuclei that move more than about a width a frame
- tracks made by a tracker, and segmentations with more than a few per cent of errors

## Known failures

Dim or blurred nuclei; a division that shows no plate; daughters still seen as one; spells of condensation without \
division. The share of events in your movie is not that of its training: order nuclei by probability, or adapt the \
prior.
"""


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--work', default='pretraining', help='folder for samples and training (default pretraining)')
    ap.add_argument('--output_dir', default='nucleus_cls/checkpoints', help='folder that gets NAME')
    ap.add_argument('--name', default='randomised', help='name of the network')
    ap.add_argument('--model', default='nucleusnet', help='architecture')
    ap.add_argument('--n_movies', type=int, default=64, help='movies to train on')
    ap.add_argument('--n_held', type=int, default=12, help='movies to judge by')
    ap.add_argument('--num_epochs', type=int, default=24, help='epochs of 1024 draws')
    ap.add_argument('--init', default='', help='run folder, or pretrained: the weights to go on from')
    ap.add_argument('--mix', default='', help='run folder, or pretrained: an earlier network, mixed into the new one')
    ap.add_argument('--n_workers', type=int, default=2, help='processes that simulate')
    args = ap.parse_args()
    work = Path(args.work)
    trained, held = make_samples(work, args.n_movies, args.n_held, args.n_workers)
    from nucleus_cls.training.config import TrainConfig
    from nucleus_cls.core import write_json, write_text
    from nucleus_cls.samples.samples import open_samples
    from nucleus_cls.evaluation.train import train
    samples = open_samples(work/'samples')
    samples = samples.select(samples.table['movie'].isin([*trained, *held]).to_numpy())
    config = TrainConfig(model=args.model, init=args.init, val=tuple(held), max_per_state=4000, num_epochs=args.num_epochs,
                         patience=args.num_epochs, zoom=.25, noise=.03, gamma=.4, cube=True, drop_frame=.05, dropout=.2,
                         hard_negatives=3., ema=.99, margin=6, cache_gib=6.)
    folder = work/f'run_{args.model}'
    run, weights = train(samples, folder, config, resume=True), folder/'best_model.safetensors'
    if args.mix: weights = mix(run, args.mix, samples)
    output = Path(args.output_dir)/args.name
    output.mkdir(parents=True, exist_ok=True)
    write_text(output/'model_card.md', card(run, judge(run, work, held), args))
    write_json(output/'config.json', {k: v for k, v in run.config.items() if k not in ('skipped', 'folder')})
    shutil.copyfile(weights, output/'best_model.safetensors')
    print((output/'model_card.md').read_text(encoding='utf-8'))


if __name__ == '__main__': main()
