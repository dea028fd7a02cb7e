import pytest

from pixelcnn.launch.ranks import directory_of_its_own, is_first, started_outside

LIGHTNING = {"NODE_RANK": "0", "WORLD_SIZE": "4"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "GROUP_RANK": "1"}
SLURM = {"SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4", "SLURM_JOB_NAME": "train"}


@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({}, True),
        ({**LIGHTNING, "LOCAL_RANK": "0"}, True), ({**LIGHTNING, "LOCAL_RANK": "1"}, False),
        ({"NODE_RANK": "1"}, False), ({"NODE_RANK": "1", "LOCAL_RANK": "0"}, False),
        ({**TORCHRUN, "RANK": "0", "LOCAL_RANK": "0"}, True), ({**TORCHRUN, "RANK": "2", "LOCAL_RANK": "0"}, False),
        ({**SLURM, "SLURM_PROCID": "0"}, True), ({**SLURM, "SLURM_PROCID": "3"}, False),
        # A process that Lightning starts in an allocation of one task.
        ({"SLURM_PROCID": "0", **LIGHTNING, "LOCAL_RANK": "1"}, False),
    ],
)  # fmt: skip
def test_one_process_is_the_first(environment, first):
    assert is_first(environment) is first


@pytest.mark.parametrize(
    ("environment", "count"),
    [
        ({}, 1), ({**LIGHTNING, "LOCAL_RANK": "1"}, 1), (TORCHRUN, 4), (SLURM, 4),
        ({**SLURM, "SLURM_JOB_NAME": "interactive"}, 1), ({"SLURM_NTASKS": "4"}, 1),  # a job's script
    ],
)  # fmt: skip
def test_how_many_were_started_outside(environment, count):
    assert started_outside(environment) == count


def test_only_other_ranks_get_a_directory_of_their_own(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    typed = ["run.py", "seed=1", "hydra.run.dir=a", "--config-name", "config"]
    arguments = list(typed)
    with directory_of_its_own(arguments):
        assert arguments == typed
    monkeypatch.setenv("LOCAL_RANK", "1")
    with directory_of_its_own(arguments):
        (directory,) = tmp_path.iterdir()
        assert arguments == [
            *typed[:3], f"hydra.run.dir={directory}", "hydra.output_subdir=null", *typed[3:],
        ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_started_and_asked_for_have_to_agree(monkeypatch):
    from pixelcnn.errors import UserError
    from pixelcnn.launch.devices import check_devices
    from tests.configuration.trainer_options import trainer_options

    options = trainer_options(accelerator="cpu", devices=2)
    check_devices(options)
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"trainer.devices=2 .*trainer.num_nodes=1 .*2 .*4"):
        check_devices(options)
    options.num_nodes = 2
    check_devices(options)
