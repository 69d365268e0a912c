"""Shards of pretended processes; real ones evaluate in tests/cli/test_evaluate.py."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pix2pix_ilm.evaluation import sharding


@pytest.mark.parametrize("processes", [2, 3, 17])
@pytest.mark.parametrize("count", [1, 16])
def test_shards_come_together_in_the_order_of_the_data_set(monkeypatch, processes, count):
    values = torch.arange(2 * count, dtype=torch.float64).view(count, 2)
    photos = [np.full((1, 1, 3), i, np.uint8) for i in range(count)]
    sent, sent_photos = [], []

    def act_as(process: int) -> list[int]:
        state = SimpleNamespace(
            process_index=process,
            num_processes=processes,
            is_main_process=process == 0,
            device=torch.device("cpu"),
        )
        monkeypatch.setattr(sharding, "PartialState", lambda: state)
        return sharding.process_shard(count)

    def receive(mine: list, shards: list | None) -> None:
        sent_photos.append(mine)
        if shards is not None and len(sent_photos) > processes:
            shards[:] = sent_photos[:processes]
        elif shards is not None:
            shards[:] = [photos] * processes  # nothing has come from the others yet

    def gather(mine: torch.Tensor) -> torch.Tensor:
        sent.append(mine)
        return torch.cat((sent * processes)[:processes])

    monkeypatch.setattr(sharding, "gather", gather)
    monkeypatch.setattr(torch.distributed, "gather_object", receive)
    seen = []
    for process in range(processes):
        mine = act_as(process)
        seen += mine
        together = sharding.gather_shards(values[mine], count)
        assert (sharding.gather_photos([photos[i] for i in mine], count) == []) is (process > 0)
    assert sorted(seen) == list(range(count))
    assert torch.equal(together, values)  # the last of all has got everybody's
    act_as(0)
    assert sharding.gather_photos([], count) == photos


def test_one_process_keeps_what_it_has():
    values, photos = torch.zeros(2, 3, dtype=torch.float64), [np.zeros((1, 1, 3), np.uint8)]
    assert sharding.process_shard(2) == [0, 1]
    assert sharding.gather_shards(values, 2) is values
    assert sharding.gather_photos(photos, 1) is photos
