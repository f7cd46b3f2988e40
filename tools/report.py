"One line a check with its time, and the closing count that people and CI read."
import time


class Report:
    "Runs checks, prints a line for each, and counts."
    def __init__(self): self.passed, self.failed = 0, 0

    def line(self, name, seconds, findings):
        "Print one check that is done; `findings` is a list of one-line texts, empty when all is well."
        self.passed, self.failed = self.passed + (not findings), self.failed + bool(findings)
        print(f"{'FAIL' if findings else 'ok  '} {seconds:6.1f} s  {name}", flush=True)
        for text in findings: print('\n'.join('              ' + row for row in str(text).splitlines()), flush=True)

    def check(self, name, func, *args):
        "Run `func(*args)`, which returns its findings; an error in it is a finding too."
        start = time.monotonic()
        try: findings = list(func(*args) or [])
        except Exception as e: findings = [f'{type(e).__name__}: {e}']
        self.line(name, time.monotonic() - start, findings)

    def close(self):
        "Print the count, alone on the last line; the exit status for it."
        print(f'{self.passed} passed, {self.failed} failed', flush=True)
        return int(self.failed > 0)
