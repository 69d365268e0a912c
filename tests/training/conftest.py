import pytest
from training.steps import small_training


@pytest.fixture
def config(drawn_pairs, tmp_path):
    return small_training(drawn_pairs, tmp_path)
