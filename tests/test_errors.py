import pytest

from pix2pix_ilm.errors import ArgumentError, SettingError, UserError


def test_a_setting_error_is_data_and_one_line():
    error = SettingError("generator.ngf", "1 to 512", 0, "64 is usual")
    assert (error.path, error.expected, error.found) == ("generator.ngf", "1 to 512", 0)
    assert str(error) == "generator.ngf: expected 1 to 512, found 0; 64 is usual"
    assert error.describe("--generator.ngf").startswith("--generator.ngf: expected 1 to 512, found")
    assert isinstance(error, UserError)


@pytest.mark.parametrize("value", ["x" * 10**6, 10**300, ["\n"] * 1000])
def test_a_long_value_is_cut_and_stays_on_one_line(value):
    line = str(SettingError("name", "something short", value))
    assert len(line) < 120
    assert "\n" not in line


def test_a_function_s_bad_argument_is_a_value_error_too():
    with pytest.raises(ValueError, match="size: expected 32 to 1024, found 5"):
        raise ArgumentError("size", "32 to 1024", 5)
