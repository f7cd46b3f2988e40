"""The table of this project: `python benchmarks/table.py` (many hours on two cores; run again to go on).

For the presets `realistic` and `hard` eight movies are simulated with seed 0; six are trained on, the last two are only
scored. The `reference` recipe is trained once, every other one with three seeds, all with the settings as they are:
nothing is chosen by the two movies, each recipe chooses its epoch and its calibration within the six. Of the 4ncnn with
the default settings the weights of every epoch are kept too, to tell after how many seconds it first scores, on the two
movies and clear nuclei, what the reference recipe ends with. `table.csv` and `table.md` lie beside this file.

Where other programs share the machine, compare the seconds of the processor; OMP_NUM_THREADS=1 makes them steady.
"""
import argparse
import tempfile
from pathlib import Path

import pandas as pd

from nucleus_cls.core import atomic_path, progress, read_json, write_json, write_text
from nucleus_cls.simulation.movies import simulate
from nucleus_cls.lineage.states import count_states
from nucleus_cls.movies.open import open_movie
from nucleus_cls.samples.samples import open_samples
from nucleus_cls.samples.extract import extract_movie
from nucleus_cls.models.run import load_run, load_weights, save_weights
from nucleus_cls.training.config import TrainConfig, load_config
from nucleus_cls.training.metrics import choose_scored, score_predictions
from nucleus_cls.prediction.predictions import predict_probs
from nucleus_cls.evaluation.timing import find_time_to_reach, read_history
from nucleus_cls.evaluation.scoreboard import to_markdown
from nucleus_cls.evaluation.benchmark import benchmark, hold_out

HERE, BASELINE = Path(__file__).with_suffix(''), '4ncnn'


def keep_weights(end):
    "Keep the weights of every epoch of the baseline, beside its run."
    if end.folder.name.startswith(f'{BASELINE}_'):
        save_weights(end.model, end.folder/'epochs'/f'{end.epoch:03}.safetensors')


def score_epochs(folder, samples, goal):
    "Macro-F1 of the clear nuclei after each epoch until one reaches the goal; epochs done before are read."
    done, run = folder/'epochs'/'scores.json', load_run(folder)
    rows, true = choose_scored(samples.table, {})['balanced']
    clear, found = samples.select(samples.table.index[rows]), read_json(done) if done.exists() else {}
    for path in progress(sorted((folder/'epochs').glob('*.safetensors')), f'epochs of {folder.name}', 'epoch'):
        if max(found.values(), default=0) >= goal: break
        if path.stem in found: continue
        load_weights(run.model, path)
        found[path.stem] = score_predictions(true, predict_probs(run, clear)[0], run.states)['macro_f1']
        write_json(done, found)
    return found


def reach(results, samples, out):
    "Sentences: how long the baseline took to what the reference recipe ends with."
    done = results[results['error'].isna()]
    reference, lines = done[done['recipe'] == 'reference'], []
    if not len(reference): return ['The reference recipe is not there to compare with.']
    goal, cost = reference['balanced_macro_f1'].mean(), reference[['train_seconds', 'train_processor_seconds']].mean()
    lines.append(f'The reference recipe ends with {goal:.3f} (macro-F1, balanced), after {cost.iloc[0]:,.0f} s on the '
                 f'clock, {cost.iloc[1]:,.0f} s of the processor.')
    for row in done[done['recipe'] == BASELINE].to_dict('records'):
        folder = out/row['folder']
        history, found = read_history(folder), score_epochs(folder, samples, goal)
        history['held_out'] = [found.get(f'{k:03}') for k in history['epoch']]
        read_clocks = [find_time_to_reach(history, goal, 'held_out', c) for c in ('total_seconds', 'total_processor_seconds')]
        history.to_csv(folder/'epochs'/'history.csv', index=False)
        lines.append(f'{BASELINE}, seed {row["seed"]}: ' + (f'never reaches it; best {history["held_out"].max():.3f}.'
            if read_clocks[0] is None else
            f'reaches it after {read_clocks[0]:,.0f} s ({read_clocks[0]/cost.iloc[0]:.1%} of the time), '
            f'{read_clocks[1]:,.0f} s of the processor ({read_clocks[1]/cost.iloc[1]:.1%}).'))
    return lines


def measure(preset, args):
    "Table and sentences of one preset."
    folder = Path(args.output_dir)/preset
    paths = simulate(folder/'movies', args.movies, args.frames, 0, preset)
    for path in paths: extract_movie(open_movie(path), folder/'samples')
    samples = open_samples(folder/'samples')
    val, short = samples.movies[-2:], dict(num_epochs=2, epoch_samples=64) if args.quick else {}
    recipes = {'reference': load_config(preset='reference', **short)}
    recipes |= {model: TrainConfig(model=model, **short) for model in args.models.split(',')}
    table = benchmark(samples, folder/'benchmark', recipes, seeds=args.seeds, reference=args.reference, val=val,
                      on_epoch=keep_weights)
    results, (known, new) = pd.read_csv(folder/'benchmark'/'results.csv'), hold_out(samples, val)
    counts = [f'{what}: ' + ', '.join(f'{n:,} {s}' for s, n in count_states(part.table).drop('near_event').items())
              for what, part in (('trained on', known), ('held out', new))]
    lines = [*counts, *(reach(results, new, folder/'benchmark')), *table.attrs['failed']]
    return table, f'## {preset}\n\n{to_markdown(table)}\n' + '\n'.join(f'- {line}' for line in lines) + '\n'


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--presets', default='realistic,hard', help='of the simulated movies, with commas between')
    ap.add_argument('--models', default='4ncnn,nucleusnet', help='networks besides the reference, with commas between')
    ap.add_argument('--seeds', type=int, default=3, help='trainings of each network')
    ap.add_argument('--reference', type=int, default=1, help='trainings with the reference recipe')
    ap.add_argument('--movies', type=int, default=8, help='movies a preset; the last two are held out')
    ap.add_argument('--frames', type=int, default=40, help='frames a movie')
    ap.add_argument('--quick', action='store_true', help='two short epochs a training, to try the command out')
    ap.add_argument('--output_dir', default=str(Path(tempfile.gettempdir())/'nucleus_table'), help='where work is kept')
    ap.add_argument('--table', default=str(HERE), help='path of the table, without .csv and .md')
    args = ap.parse_args()
    tables, texts = {}, []
    for preset in args.presets.split(','):
        tables[preset], text = measure(preset, args)
        texts.append(text)
        print(text, flush=True)
        with atomic_path(f'{args.table}.csv') as tmp:
            pd.concat(tables, names=['preset']).reset_index(0).to_csv(tmp, index=False, float_format='%.6g')
        write_text(f'{args.table}.md', '\n'.join(texts))
    if any(t.attrs['failed'] for t in tables.values()): raise SystemExit(1)


if __name__ == '__main__': main()
