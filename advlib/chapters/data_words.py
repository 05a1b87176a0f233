"""What the chapter on the data set says of it: where it comes from, how it is split and scaled."""

from advlib.data import SLIDES, Dataset
from advlib.settings import DATASETS
from advlib.show.words import escape, number, percent

MNIST = """\
The slides' experiment runs on [MNIST](http://yann.lecun.com/exdb/mnist/): scans of handwritten
digits, selected from the black-and-white images of NIST, brought to one size and centred; smoothing
their edges made the grey values."""
THEIRS = """\
The slides mention the subtraction only; the map is in the
[author's code](https://github.com/smeucci/MachineLearning)."""
OURS = """\
It is the map of the [experiment](https://github.com/smeucci/MachineLearning) that this software
began with, kept for grey images of $28 \\times 28$ pixels in IDX files."""
KINDS = {
    "MNIST": MNIST,
    "FashionMNIST": "FashionMNIST has grey pictures of articles of clothing.",
    "KMNIST": "KMNIST has scans of handwritten Japanese characters in cursive.",
}


def describe_data(data: Dataset) -> str:
    """Say what a data set is, how it is split, and how large it is."""
    kind = KINDS.get(data.name, "")
    height, width = data.mean_image.shape[1:]
    size = rf"${height} \times {width}$ pixels" + " (height by width)" * (height != width)
    values = ", each with three values, red, green and blue," if _is_colour(data) else ""
    return f"""\
{kind} {_describe_order(data)}

This report runs on {escape(data.name)}. Of its images, {len(data.train):,} train,
{len(data.validation):,} validate and {len(data.test):,} test. Each has {size}{values}
and belongs to one of {len(data.classes)} classes, which exclude each other. Figure *images* shows
some images of each class, and Table *classes* counts them.{_name_content(data)}"""


def _name_content(data: Dataset) -> str:
    """Say what data of one's own are known by, for they have no name that others know."""
    if data.name in DATASETS:
        return ""
    return f""" What this report has used of the data has the
SHA-256 {data.fingerprint[:16]}..., by which the trainings are kept."""


def _describe_order(data: Dataset) -> str:
    held_out = f"{len(data.validation):,}"
    evenly = (
        "in an order that the content fixes, whatever the files' names, and in which every "
        "beginning and every end has each class by its share"
    )
    if data.pictures:
        return f"""\
The data set comes as pictures, in a folder for each class, some to train and some to test. They
are put {evenly}: the last {held_out} of those to train validate, the others train, and where this
report takes only some images they are the first."""
    order = f"""\
The data set comes as a training file and a test file, and the images are taken in the files' own
order: the last {held_out} of the training file validate, the others train, and the test file
tests."""
    if not data.evenly:
        return order
    sorted_ones = " and ".join(f"the {part} file" for part in data.evenly).replace(
        "train file", "training file"
    )
    return f"{order} But {sorted_ones}, sorted by class, is first put {evenly}."


def _is_colour(data: Dataset) -> bool:
    return len(data.mean_image) > 1


def describe_preprocessing(data: Dataset) -> str:
    """Say how pixels become what the network sees."""
    if data.preprocessing == SLIDES:
        return rf"""
Pixels are scaled to $[0, 1]$. The mean image $\bar{{p}}$ of the training images is subtracted
from every image $p$, and one affine map, the same for every pixel of every image, takes the
differences to about $[0, 1]$ again:

$$x = \frac{{p - \bar{{p}} - a}}{{b - a}} . \tag{{preprocessing}}$$

The ends $a$ and $b$ are the smallest and the largest value of $p - \bar{{p}}$ in the *first*
training image, not in the whole set, so that other images leave $[0, 1]$ a little.
{THEIRS if data.name == "MNIST" else OURS} It matters because every $\epsilon$ in this report is
measured on the scale of $x$, the *training scale*. Figure *preprocessing* shows the steps."""
    return r"""
Pixels are scaled to $[0, 1]$, and the mean image $\bar{p}$ of the training images is subtracted
from every image $p$:

$$x = p - \bar{p} . \tag{preprocessing}$$

No map follows, so that the scale of $x$, the *training scale*, on which every $\epsilon$ in this
report is measured, has the unit of pixels. Figure *preprocessing* shows the steps."""


def describe_scale(data: Dataset, epsilon: float) -> str:
    """Say what a size on the training scale is in pixels, and where the training images lie."""
    train = data.train.images
    change = data.epsilon_in_pixels(epsilon)
    low, high = (number(float(end), 3) for end in train.aminmax())
    levels = "levels" if _is_colour(data) else "grey levels"
    steps = (
        rf"a perturbation of $\epsilon = {epsilon:g}$ changes a pixel by up to {change:.6f} of "
        f"that range, which is {255 * change:.1f} of 255 {levels}."
    )
    if data.preprocessing != SLIDES:
        return rf"""
One unit of the training scale is the whole range of pixels: {steps} The training images reach
from {low} to {high} on the training scale."""
    outside = 100 * float(((train < 0) | (train > 1)).double().mean())
    return rf"""
For {escape(data.name)}, $a = {data.low:.6f}$ and $b = {data.high:.6f}$. One unit of the training
scale is therefore {data.epsilon_in_pixels(1):.6f} of the range of pixels, and {steps} The training
images reach from {low} to {high} on the training scale, and {percent(outside, 1)} of their pixels
lie outside $[0, 1]$."""
