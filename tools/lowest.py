"The lowest versions that settings.ini allows, one a line, as constraints for pip: `make test-lowest` tries them."
import configparser
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = configparser.ConfigParser(delimiters=['='])
CONFIG.read(ROOT/'settings.ini', encoding='utf-8')


def lowest(requirement):
    "Turn `numpy>=1.26` or `fastcore>=1.14,<2` into `numpy==1.26.*`; None where no lower bound is stated."
    found = re.match(r'([\w-]+)>=([\d.]+)', requirement)
    return found and f'{found[1]}=={found[2]}' + ('.*' if found[2].count('.') < 2 else '')


if __name__ == '__main__':
    cfg = CONFIG['DEFAULT']
    extras = ' '.join(text for key, text in cfg.items() if key.startswith('extra_') and 's3' not in key)
    for requirement in f"{cfg['requirements']} {extras}".split():
        if pin := lowest(requirement): print(pin)
