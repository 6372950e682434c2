"""Training commands tell what is wrong with their words before they import Keras, which takes seconds."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests import forkserver
from tests.models import BLOBS
from wtool.training.checks import check_resume
from wtool.training.resume_options import Resume

PROGRAM = """
import sys
from wtool.cli import main
try:
    main(sys.argv[1:])
finally:
    print(sorted({"keras", "tensorflow"} & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("asked")
    (made / "init.keras").write_bytes(BLOBS[0].read_bytes())
    (made / "model.bin").write_bytes(BLOBS[0].read_bytes())
    with h5py.File(made / "cnn.weights.h5", "w") as file:
        file.create_group("layers/dense/vars").create_dataset("0", data=np.ones((2, 3), np.float32))
    np.savez(made / "d.npz", x=np.ones((4, 2), np.float32), y=np.zeros(4))
    with zipfile.ZipFile(BLOBS[0]) as archive:
        archive.extractall(made / "unzipped")
    (made / "words.txt").write_text("a")
    (made / "out").mkdir()
    (made / "full").mkdir()
    (made / "full" / "something").write_text("a")
    return made


RESUME = "resume init.keras --data d.npz --epochs 1"
LOTTERY = "lottery init.keras --data d.npz --epochs 4 --out run"
SOUP = "soup init.keras"
NAMELESS = "a model from standard input needs an --output: a file, or - for standard output"
WEIGHTS = "cnn.weights.h5: holds weights only"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("resume init.keras --data missing.npz --epochs 1", "missing.npz: no such file or folder"),
        (f"{RESUME} --validation-data missing.npz", "missing.npz: no such file or folder"),
        ("resume init.keras --data words.txt --epochs 1", "words.txt: no data that wtool knows"),
        ("resume init.keras --data d.npz --data d.npz --epochs 1", "data is one file or folder"),
        ("resume nothing.keras --data d.npz --epochs 1", "nothing.keras: No such file"),
        ("resume cnn.weights.h5 --data d.npz --epochs 1", WEIGHTS),
        ("resume cnn.weights.h5 --data d.npz --epochs 1 -o m4.weights.h5", WEIGHTS),
        ("resume - --data d.npz --epochs 1 -o out/", NAMELESS),
        ("resume - --data d.npz --epochs 1 -o out", NAMELESS),
        ("resume - --data d.npz --epochs 1", NAMELESS),
        ("resume model.bin --data d.npz --epochs 1", "its name has to end in .keras or .h5"),
        (f"{RESUME} -o no/such/x.keras", "no/such' does not exist"),
        (f"{RESUME} --log no/such/log.csv", "no/such: No such file"),
        (f"{RESUME} --log log.txt", "a log is called .csv or .jsonl"),
        (f"{RESUME} --checkpoints words.txt", "words.txt: Not a directory"),
        (f"{RESUME} --save-every 2", "needs a folder"),
        (f"{RESUME} --learning-rate -1", "a learning rate of -1.0 is none"),
        (f"{RESUME} --stroke 2", "2.0"),
        (f"{RESUME} --stroke ratio=2", "a volatility ratio of 2.0 is not between 0 and 1"),
        (f"{RESUME} --stroke raito=.1", "--stroke has no word 'raito'; did you mean volatility_ratio?"),
        (f"{RESUME} --stroke half", "--stroke takes a number such as 0.05, or words such as volatility_ratio="),
        (f"{RESUME} --prune 1,0", "1.0"),
        (f"{RESUME} --prune min_value=1,max_value=0", "1.0"),
        (f"{RESUME} --neuroplast .5", "--neuroplast takes numbers such as -0.01,0.01, or words such as min_value="),
        (f"{RESUME} --neuroplast max=.5", "--neuroplast has no word 'max'; did you mean max_value?"),
        (f"{RESUME} --class-weight 3=5,3=2", "--class-weight: class 3 is given twice"),
        (f"{RESUME} --class-weight cat=5", "--class-weight: cat=5 is no class and its weight, such as 3=5"),
        (f"{RESUME} --class-weight 3=inf", "--class-weight: 3=inf is no class and its weight"),
        (f"{RESUME} --class-weight 3", "--class-weight: '3' is no word with a value"),
        (f"{RESUME} --early-stopping patience=x", "--early-stopping: patience is a whole number, not 'x'"),
        (f"{RESUME} --reduce-lr val_loss,factor=.5", "--reduce-lr: 'val_loss' is no word with a value"),
        (f"{RESUME} --save-best val_loss", "--save-best METRIC needs a folder, --checkpoints"),
        (f"{RESUME} --validation-split .5 --validation-data d.npz", "contradict each other"),
        ("evaluate init.keras --data missing.csv", "missing.csv: no such file or folder"),
        ("evaluate nothing.keras --data d.npz", "nothing.keras: No such file"),
        ("evaluate cnn.weights.h5 --data d.npz", WEIGHTS),
        ("evaluate out --data d.npz", "out: a folder without models"),
        (f"{LOTTERY} --rewind-to 9", "cannot be rewound to epoch 9 of 4"),
        ("lottery init.keras --data d.npz --epochs 4 --out full", "full: is not empty, and holds no experiment"),
        ("lottery init.keras --data d.npz --epochs 4 --out words.txt", "words.txt: Not a directory"),
        (f"{LOTTERY} --data missing.npz", "data is one file or folder|missing.npz: no such"),
        (f"{LOTTERY} --validation-data missing.npz", "missing.npz: no such file or folder"),
        (f"{LOTTERY} --include nothing", "no tensor"),
        (f"{RESUME} --loss mean_sqared_error", "no loss 'mean_sqared_error'; did you mean mean_squared_error"),
        (f"{RESUME} --metric acuracy", "no metric 'acuracy'; did you mean accuracy"),
        (f"{RESUME} --new-optimizer adm", "no optimizer 'adm'; did you mean adam"),
        (f"{RESUME} --new-optimizer xyzzy", "no optimizer 'xyzzy'; --import MODULE imports what registers others"),
        (f"{RESUME} --import nosuchmodule", "cannot import nosuchmodule: there is no module of this name"),
        ("resume init.keras --data nosuch.module:function --epochs 1", "cannot import nosuch.module"),
        (f"{RESUME} -o x.bin", "its name has to end in .keras or .h5"),
        ("evaluate init.keras --data d.npz --loss mean_sqared_error", "no loss 'mean_sqared_error'"),
        ("evaluate init.keras --data d.npz --metric acuracy", "no metric 'acuracy'"),
        ("evaluate init.keras --data d.npz --import nosuchmodule", "cannot import nosuchmodule"),
        ("recalibrate init.keras --data missing.npz", "missing.npz: no such file or folder"),
        ("recalibrate init.keras --data d.npz --import nosuchmodule", "cannot import nosuchmodule"),
        ("recalibrate init.keras --data d.npz -o x.bin", "its name has to end in .keras"),
        ("recalibrate nothing.keras --data d.npz", "nothing.keras: No such file"),
        (f"{SOUP} --data missing.npz", "missing.npz: no such file or folder"),
        (f"{SOUP} --data d.npz -o no/such/x.keras", "no/such' does not exist"),
        (f"{SOUP} --data d.npz -o x.bin", "its name has to end in .keras"),
        (f"{SOUP} --data d.npz --loss mean_sqared_error", "no loss 'mean_sqared_error'"),
        (f"{SOUP} --data d.npz --recalibrate missing.npz", "missing.npz: no such file or folder"),
        (f"{SOUP} --data d.npz --log log.txt", "the log of a soup is called .jsonl"),
        ("soup init.keras nothing.keras --data d.npz", "nothing.keras: No such file"),
        ("soup cnn.weights.h5 --data d.npz", WEIGHTS),
        (f"{LOTTERY} --loss mean_sqared_error", "no loss 'mean_sqared_error'"),
        (f"{LOTTERY} --metric acuracy", "no metric 'acuracy'"),
        (f"{LOTTERY} --arm rewnd", "rewnd"),
        (f"{LOTTERY} --arm randomize,maks=rewind", "maks"),
        ("average init.keras --recalibrate missing.npz", "missing.npz: no such file or folder"),
        ("merge init.keras --method linear --recalibrate missing.npz", "missing.npz: no such file or folder"),
        ("swap init.keras --to linked --verify -n", "verifying needs the old and the new model as files"),
        ("swap init.keras --to linked --verify -o no/such/x.keras", "no/such' does not exist"),
        ("swap init.keras --to linked --verify -o init.keras", "init.keras: exists already"),
        ("shrink init.keras --sparsity .5 --verify -o no/such/x.keras", "no/such' does not exist"),
        ("align init.keras --to init.keras --verify -o no/such/x.keras", "no/such' does not exist"),
        ("convert init.keras --to h5 --verify -n", "verifying needs the old and the new model as files"),
        ("convert init.keras --verify -o no/such/x.h5", "no/such' does not exist"),
        ("lottery unzipped --data d.npz --epochs 4 --out run", "an experiment begins with a single file"),
        (
            "lottery cnn.weights.h5 --data d.npz --epochs 4 --out run",
            "cnn.weights.h5: an experiment needs a whole model",
        ),
    ],
)
def test_words_that_do_not_go_together_cost_no_import(words: str, told: str, folder: Path) -> None:
    argv = forkserver.python("-c", PROGRAM, *words.split())
    done = subprocess.run(argv, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2)
    assert done.stdout == "[]\n", done.stderr
    assert done.stderr.count("\n") == 1
    assert any(each in done.stderr for each in told.split("|")), done.stderr
    assert not (folder / "run").exists()


CALLS = {
    "wtool.evaluate('init.keras', data='missing.npz')": "missing.npz: no such file or folder",
    "wtool.evaluate('init.keras', data='d.npz', loss='mean_sqared_error')": "no loss 'mean_sqared_error'",
    "wtool.resume('nothing.keras', data='d.npz', epochs=1)": "nothing.keras: No such file",
    "wtool.resume('init.keras', data='d.npz', epochs=0)": "counted from 1 up",
    "wtool.recalibrate('init.keras', data='missing.npz')": "missing.npz: no such file or folder",
    "wtool.soup(['init.keras'], data='missing.npz')": "missing.npz: no such file or folder",
    "wtool.lottery('init.keras', data='missing.npz', epochs=1, out='run')": "missing.npz: no such file or folder",
}


@pytest.mark.parametrize("call", CALLS)
def test_arguments_of_functions_that_do_not_go_together_cost_no_import(call: str, folder: Path) -> None:
    program = (
        f"import sys, wtool\ntry:\n    {call}\nexcept wtool.WtoolError as error:\n    print(error)\n"
        "print(sorted({'keras', 'tensorflow'} & set(sys.modules)))\n"
    )
    argv = forkserver.python("-c", program)
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    told, imported = done.stdout.splitlines()
    assert CALLS[call] in told
    assert imported == "[]"


@pytest.mark.parametrize(
    ("model", "output", "expected"),
    [
        ("init.keras", None, "init-resume.keras"),
        ("init.keras", "out", "out/init.keras"),
        ("unzipped", None, "unzipped-resume.keras"),
        ("unzipped/", None, "unzipped-resume.keras"),
        ("unzipped/", "out/", "out/unzipped.keras"),
        ("-", "-", "-"),
        ("-", "out/x.h5", "out/x.h5"),
    ],
)
def test_where_a_result_goes(
    model: str, output: str | None, expected: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert check_resume(model, Resume(data="d.npz", epochs=1, output=output)).path == expected
