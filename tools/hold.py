"""Nothing lost, nothing mixed: `make test-hold`. Commands are killed at random moments and run again, run twice at the same
place, and given damaged files. After each, the output is what an undisturbed run gives, to the byte (dates and times aside),
with nothing left over; a failure is one line. Takes some ten minutes; `--kills 8 --overlaps 4` is a taste of it. With
`--table` the counts go to benchmarks/hold.csv, which the chapter on failures shows; trials left out keep theirs."""
import argparse
import csv
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent
TABLE = Path(__file__).resolve().parent.parent/'benchmarks'/'hold.csv'
QUICK = 'epoch_samples = 16\nmargin = 0\nnum_epochs = 3\nbatch_size = 8\ntensor_size = 16\n'
#: What differs from run to run: when it was done, how long it took, how much memory there was.
VARIES = re.compile(rb'"(date|when|seconds|frames_a_second|duration|created|cpu_count)": *[^,\n}]*|\d{4}-\d\d-\d\d[T ]?[\d:.+Z]*')
TIMED = {'history.csv', 'training_metrics.png', 'table.csv', 'table.md', 'table.png', 'results.csv', 'last.pt', 'result.json', 'timing.json'}


def start(command, cwd):
    "Start one of our commands in a group of its own."
    name, *words = command
    return subprocess.Popen([BIN/name, *map(str, words)], cwd=cwd, start_new_session=True, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {'OMP_NUM_THREADS': '1'})


def finish(command, cwd):
    "Run a command to its end: exit status and what it complained of."
    process = start(command, cwd)
    _, error = process.communicate(timeout=600)
    return process.returncode, error


def picture(folder):
    "{path: checksum} of everything below a folder, dates and times aside."
    found = {}
    for path in sorted(Path(folder).rglob('*')):
        if path.is_dir() or path.name in TIMED or path.suffix == '.lock': continue
        found[path.relative_to(folder).as_posix()] = hashlib.sha256(VARIES.sub(b'', path.read_bytes())).hexdigest()
    return found


def differs(now, then):
    "What is missing, left over or other than in an undisturbed run."
    return [*(f'{k} is missing' for k in then if k not in now), *(f'{k} is left over' for k in now if k not in then),
            *(f'{k} is other' for k in now if k in then and now[k] != then[k])]


def jobs(work):
    "{name: command}, OUT standing for the output folder; what they need lies in `work`."
    movie, second = sorted(work.glob('movies/*'))[:2]
    return {
        'simulate': ('nucleus_simulate', '--preset', 'tiny', '--n_movies', 2, '--n_frames', 6, '--output_dir', 'OUT'),
        'extract': ('nucleus_extract', movie, second, '--size', 32, '--output_dir', 'OUT'),
        'train': ('nucleus_train', work/'samples', '--config', work/'quick.toml', '--output_dir', 'OUT', '--resume'),
        'evaluate': ('nucleus_evaluate', work/'run', work/'samples', '--output_dir', 'OUT'),
        'predict': ('nucleus_predict', work/'run', '--movie', movie, '--output_dir', 'OUT'),
        'video': ('nucleus_video', movie, work/'found'/'predictions.csv', '--preset', 'quick', '--output', 'OUT/film.mp4'),
        'check': ('nucleus_check', movie, '--output_dir', 'OUT'),
        'report': ('nucleus_report', movie, '--run', work/'run', '--output_dir', 'OUT'),
        'benchmark': ('nucleus_benchmark', work/'samples', '--models', 'cnn', '--seeds', 1, '--reference', 0,
                      '--config', work/'quick.toml', '--output_dir', 'OUT'),
        'notebook': ('nucleus_notebook', '--movie', movie, '--output', 'OUT/mine.ipynb')}


def prepare(work):
    "Movies, samples, a run and predictions for all trials."
    (work/'quick.toml').write_text(QUICK)
    for command in (('nucleus_simulate', '--preset', 'tiny', '--n_movies', 2, '--n_frames', 10, '--output_dir', 'movies'),
                    ('nucleus_extract', 'movies', '--size', 32, '--output_dir', 'samples'),
                    ('nucleus_train', 'samples', '--config', 'quick.toml', '--output_dir', 'run')):
        status, error = finish(command, work)
        assert status == 0, error
    movie = sorted(work.glob('movies/*'))[0]
    assert finish(('nucleus_predict', 'run', '--movie', movie, '--output_dir', 'found'), work)[0] == 0


def at(command, place):
    "A command with its output at a place."
    return tuple(str(word).replace('OUT', str(place)) for word in command)


def kill_and_rerun(command, then, seconds, cwd, rng):
    "Kill a command at a random moment, run it again; what is other than undisturbed."
    place = Path(tempfile.mkdtemp(dir=cwd))/'out'
    process = start(at(command, place), cwd)
    time.sleep(rng.uniform(.2, 1)*seconds)
    if process.poll() is None: os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    status, error = finish(at(command, place), cwd)
    there = 'exists; choose another name' in error          # a notebook is never written over
    found = [f'exit status {status}: {error.strip()[-200:]}'] if status and not there else differs(picture(place), then)
    shutil.rmtree(place.parent)
    return found


def overlap(command, then, cwd):
    "Run a command twice at one place: all is there in the end, and who finds it taken says so in a line."
    place = Path(tempfile.mkdtemp(dir=cwd))/'out'
    two = [start(at(command, place), cwd) for _ in range(2)]
    ends = [(p.communicate()[1], p.returncode) for p in two]
    found = differs(picture(place), then)
    if found and not any(status == 0 for _, status in ends): found.append('neither came to its end')
    found += [f'not one line: {error.strip()[-200:]}' for error, status in ends
              if status and ('Traceback' in error or not re.search('at work|exists; choose', error))]
    shutil.rmtree(place.parent)
    return found


def spoil(path, how):
    "Damage a file."
    data = path.read_bytes()
    if how == 'cut': path.write_bytes(data[:len(data)//2])
    elif how == 'flip': path.write_bytes(data[:len(data)//2] + bytes([data[len(data)//2] ^ 255]) + data[len(data)//2 + 1:])
    elif how == 'empty': path.write_bytes(b'')
    else: path.unlink()


def faults(work):
    "(words, damaged file, how, command): each must fail in a line; a table cut between two rows is warned of."
    movie = sorted(work.glob('movies/*'))[0].name
    for how in ('cut', 'flip', 'empty', 'gone'):
        yield 'weights', 'run/best_model.safetensors', how, ('nucleus_evaluate', 'run', 'samples', '--output_dir', 'OUT')
        if how != 'gone': yield 'last', 'run/last.pt', how, (
            'nucleus_train', 'samples', '--config', 'quick.toml', '--output_dir', 'run', '--resume')
        yield 'manifest', next((work/'samples').rglob('manifest.csv')).relative_to(work), how, (
            'nucleus_train', 'samples', '--config', 'quick.toml', '--output_dir', 'OUT')
    for how in ('cut', 'empty', 'gone'):
        yield 'config', 'run/config.json', how, ('nucleus_predict', 'run', '--movie', f'movies/{movie}', '--output_dir', 'OUT')
        yield 'lineage', f'movies/{movie}/LineageGraph.json', how, (
            'nucleus_extract', f'movies/{movie}', '--size', 32, '--output_dir', 'OUT')
        yield 'predictions', 'found/predictions.csv', how, (
            'nucleus_video', f'movies/{movie}', 'found/predictions.csv', '--output', 'OUT/film.mp4')


def try_fault(work, path, how, command):
    "Run a command on a copy with one damaged file; what is wrong with how it ends."
    copy = Path(tempfile.mkdtemp(dir=work.parent))/'copy'
    shutil.copytree(work, copy, ignore=shutil.ignore_patterns('tmp*'))
    spoil(copy/path, how)
    status, error = finish(at(command, copy/'out'), copy)
    lines = [row for row in error.splitlines() if row.strip() and '%|' not in row and 'Warning' not in row]
    shutil.rmtree(copy.parent)
    if status == 0: return [] if 'part of the table missing' in error else ['it passed for sound']
    return [f'not one line: {error.strip()[-200:]}'] if 'Traceback' in error or len(lines) > 2 else []


def count(what, results, table):
    "Print how many held, and what did not; add a row for each command or file to the table; the number that did not."
    for name in dict.fromkeys(words for words, _ in results):
        mine = [not found for words, found in results if words == name]
        table.append({'trial': what, 'of': name, 'held': sum(mine), 'tried': len(mine)})
    bad = [(words, found) for words, found in results if found]
    print(f'{what}: {len(results) - len(bad)} of {len(results)} held', flush=True)
    for words, found in bad: print(f'  {words}: {"; ".join(found)[:300]}')
    return len(bad)


def main():
    "All trials."
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--kills', type=int, default=50)
    ap.add_argument('--overlaps', type=int, default=20)
    ap.add_argument('--faults', type=int, default=20)
    ap.add_argument('--seed', type=int, default=0)
    ap.add_argument('--table', action='store_true', help=f'write the counts to {TABLE.parent.name}/{TABLE.name}')
    args = ap.parse_args()
    rng, table = random.Random(args.seed), []
    with tempfile.TemporaryDirectory() as tmp:
        work = Path(tmp)/'work'
        work.mkdir()
        prepare(work)
        done, seconds = {}, {}
        for name, command in jobs(work).items():
            begin, place = time.monotonic(), Path(tmp)/f'ref_{name}'/'out'
            place.parent.mkdir()
            status, error = finish(at(command, place), work)
            assert status == 0, (name, error)
            done[name], seconds[name] = picture(place), time.monotonic() - begin
        names = list(done)
        kills = [names[k % len(names)] for k in range(args.kills)]
        bad = count('killed and run again', [(n, kill_and_rerun(jobs(work)[n], done[n], seconds[n], work, rng)) for n in kills], table)
        twice = [names[k % len(names)] for k in range(args.overlaps)]
        bad += count('run twice at one place', [(n, overlap(jobs(work)[n], done[n], work)) for n in twice], table)
        broken = list(faults(work))[:args.faults]
        found = [(f'{words} {how}', try_fault(work, path, how, command)) for words, path, how, command in broken]
        bad += count('damaged', found, table)
    if args.table:
        with open(TABLE, newline='', encoding='utf-8') as file: old = list(csv.DictReader(file))
        tried = {row['trial'] for row in table}
        table = [row for row in old if row['trial'] not in tried] + table
        with open(TABLE, 'w', newline='', encoding='utf-8') as file:
            rows = csv.DictWriter(file, ['trial', 'of', 'held', 'tried'], lineterminator='\n')
            rows.writeheader()
            rows.writerows(table)
    return bad


if __name__ == '__main__': sys.exit(bool(main()))
