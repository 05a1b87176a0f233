"""The lines of code that give what the panel shows."""

from collections.abc import Mapping

from advlib.data import Dataset
from advlib.explore.attacking import Result


def write_lines(result: Result, data: Dataset, sources: Mapping[str, str]) -> list[str]:
    """Return the three lines that make the same adversarial image, as ``adversarial``.

    Parameters
    ----------
    result : Result
        The attack.
    data : Dataset
        Its data.
    sources : Mapping
        By network the expression that gives it.
    """
    sample, choice = result.sample, result.choice
    source = sources[choice.model]
    # other data lies where its owner has it
    loaded = "advlib.load_data('MNIST')" if data.name == "MNIST" else "panel.data"
    imports = {"advlib.explore.networks"} if "explore.networks" in source else set()
    image, label = f"data.test.images[[{sample.source}]]", f"data.test.labels[[{sample.source}]]"
    if isinstance(sample.source, str):  # it lies where its owner has it
        imports |= {"advlib.explore.pictures", "torch"}
        image = f"advlib.explore.pictures.read_digit({sample.source!r}, data)"
        label = f"torch.tensor([{sample.label}])"
    settings = {"epsilon": choice.epsilon, **choice.steps_argument}
    arguments = [f"{name}={value!r}" for name, value in settings.items()]
    arguments += ["bounds=data.bounds"] * choice.valid
    call = ", ".join(["model", image, label, *arguments])
    return [
        f"import {', '.join(sorted(imports) or ['advlib'])}",
        f"data, model = {loaded}, {source}",
        f"adversarial = advlib.{choice.attack.lower()}({call})",
    ]
