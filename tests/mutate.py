"""Plant bugs in index formulas, one at a time, and see that the tests notice each: ``make mutate``.

Those of the table below are what people have got wrong; `mutants` generates the others. A bug is caught when its
tests, which pass without it, fail or never end. One that survives, or whose text has changed, fails the run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from .mutants import EQUIVALENT, FILES, mutants
from .planting import PACKAGE, Plant, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


@dataclass(frozen=True)
class Mutation:
    """One line of a formula, planted wrong.

    Parameters
    ----------
    file : str
        In ``src/im2col``.
    old, new : str
        What is replaced; `old` stands in the file exactly once.
    why : str
        The bug in words.
    tests : str
        The test files that must notice, in ``tests``, separated by spaces.
    dot : str
        The dot product that a CPU must have to run the line, as `Target.has_dot` calls it; elsewhere it is left out.
    needs : str
        The package without which its tests are skipped; there it is left out.
    """

    file: str
    old: str
    new: str
    why: str
    tests: str
    dot: str = ""
    needs: str = ""


MUTATIONS = [
    Mutation(
        "photo/pixel_kernels.py",
        "b.mul(x, count * b.bytes_of(pixel))",
        "b.mul(x, b.bytes_of(pixel))",
        "pixels of several samples lie as close as those of one",
        "test_pixel_kernels.py",
        needs="tifffile",
    ),
    Mutation(
        "photo/pixel_kernels.py",
        "for at in (8, 12)",
        "for at in (8, 8)",
        "the greatest pixel is what is added",
        "test_pixel_kernels.py",
        needs="tifffile",
    ),
    Mutation(
        "photo/row_filter.py",
        "slice(top, top + at_once)) for top",
        "slice(top, top + at_once - 1)) for top",
        "the last row of a part is not rounded",
        "test_photo_rows.py::test_threads_share_a_band",
        needs="tifffile",
    ),
    Mutation(
        "photo/bands.py",
        "first + top + at_once, first",
        "first + top + at_once - 1, first",
        "the last row of a part is not converted",
        "test_photo_rows.py::test_threads_share_a_band",
        needs="tifffile",
    ),
    Mutation(
        "photo/tiff_rows.py",
        "inside * part[0].nbytes",
        "inside",
        "rows within a strip that is not compressed are bytes",
        "test_photo_rows.py::test_rows_of_tiff",
        needs="tifffile",
    ),
    Mutation(
        "photo/tiff_rows.py",
        "(plane * down + number) * across",
        "(number * down + plane) * across",
        "planes of tiles are read in each other's place",
        "test_photo_rows.py::test_rows_of_tiff",
        needs="tifffile",
    ),
    Mutation(
        "photo/tiff_rows.py",
        "first, stop = self._height - stop, self._height - first",
        "first, stop = self._height - stop - 1, self._height - first - 1",
        "rows from the last to the first are one too high",
        "test_photo_rows.py::test_rows_are_upright",
        needs="tifffile",
    ),
    Mutation(
        "photo/bands.py",
        "np.where(outside, ~nearest,",
        "np.where(outside, nearest,",
        "the constant beyond the photograph is its edge",
        "test_photo.py::test_padding_modes_and_strides_against_scipy",
        needs="tifffile",
    ),
    Mutation(
        "photo/bands.py",
        "pixels[numbers - first]",
        "pixels[numbers - numbers[0]]",
        "rows that are mirrored are counted from the first that is shown",
        "test_photo.py::test_padding_modes_and_strides_against_scipy",
        needs="tifffile",
    ),
    Mutation(
        "photo/png_rows.py",
        "data[count * line :]",
        "data[count * line + 1 :]",
        "a byte is lost between the rows that are decoded together",
        "test_photo_rows.py::test_rows_of_png",
        needs="tifffile",
    ),
    Mutation(
        "photo/png_rows.py",
        "self._kept[first - self._first : stop - self._first]",
        "self._kept[first - self._first : stop - self._first + 1]",
        "a row more than was asked for is given where it is kept",
        "test_photo_rows.py::test_rows_of_png",
        needs="tifffile",
    ),
    Mutation(
        "photo/png_filters.py",
        "b.smaller_than(to_c, to_b)",
        "b.smaller_than(to_b, to_c)",
        "Paeth's filter takes the farther of above and corner",
        "test_photo_rows.py::test_filters_are_undone",
        needs="tifffile",
    ),
    Mutation(
        "photo/png_filters.py",
        "left[:, pixel:] -= some[:, :-pixel]",
        "left[:, 1:] -= some[:, :-1]",
        "a byte is predicted by the one before it, of another colour",
        "test_photo_rows.py::test_png_is_written_in_pieces",
        needs="tifffile",
    ),
    Mutation(
        "photo/png_writing.py",
        "stored[top - 1] if top",
        "stored[top] if top",
        "the first row of a piece is predicted by itself",
        "test_photo_rows.py::test_png_is_written_in_pieces",
        needs="tifffile",
    ),
    Mutation(
        "photo/png_writing.py",
        'self._rows, self._head, self._above, self.wanted = rows, b"", None, rows - 1',
        'self._rows, self._head, self._above, self.wanted = rows, b"", None, rows',
        "a PNG file that is gone on with loses a row",
        "test_photo_resuming.py::test_interrupted_anywhere",
        needs="tifffile",
    ),
    Mutation(
        "photo/row_filter.py",
        "wanted - first) : count",
        "wanted - first + 1) : count",
        "a file that is gone on with loses a row",
        "test_photo_resuming.py::test_interrupted_anywhere",
        needs="tifffile",
    ),
    Mutation(
        "photo/tiff_writing.py",
        "len(waiting) // self._rows * self._rows",
        "len(waiting)",
        "a strip is written before its last rows have come",
        "test_photo_rows.py::test_tiff_is_written_compressed",
        needs="tifffile",
    ),
    Mutation(
        "photo/row_filter.py",
        "exponents - 53)[bits",
        "exponents - 52)[bits",
        "the last bit of a weight is taken for twice as much",
        "test_photo_rows.py::test_sums_are_exact_in_float32_where_they_fit_its_24_bits",
        needs="tifffile",
    ),
    Mutation(
        "matrix/image_tiles.py",
        "first + size <= n",
        "first + size < n",
        "a tile that ends with the image is copied",
        "test_image_tiles.py::test_tiles_within_the_image_are_views",
    ),
    Mutation(
        "matrix/blending.py",
        "fall if i < self.tiles - 1 else most",
        "fall if i < self.tiles else most",
        "the last tile fades out, and its margin is left out, where the image ends",
        "test_image_tiles.py::test_a_neighbourhood_sees_no_seam",
    ),
    Mutation(
        "matrix/blending.py",
        "np.maximum(distance - margin, 0)",
        "distance",
        "margins weigh something",
        "test_image_tiles.py::test_weights_rise_and_fall_evenly",
    ),
    Mutation(
        "matrix/blending.py",
        "self.margin - 0.25 * (2 * self.margin == self.size - self.step)",
        "self.margin",
        "the pixel in the middle of an odd overlap, which is all margin, is nobody's",
        "test_image_tiles.py::test_the_middle_of_margins",
    ),
    Mutation(
        "matrix/blending.py",
        "math.ceil(n * factor)",
        "math.floor(n * factor)",
        "the last of the results is cut off where the factor does not divide the image",
        "test_image_tiles.py::test_results_may_be_longer_or_shorter",
    ),
    Mutation(
        "matrix/blending.py",
        "begin, end = max(0, first - reach), min(self.tiles, stop + reach)",
        "begin, end = first, stop",
        "weights of some tiles are divided by the sum of those alone",
        "test_dask_tiles.py::test_weights_of_some_are_those_of_all",
    ),
    Mutation(
        "integrations/dask/tiles.py",
        "number * each.step - cut.pads[0]",
        "number * each.step",
        "tiles that begin before a chunk are added where it begins",
        "test_dask_tiles.py::test_one_line",
        needs="dask",
    ),
    Mutation(
        "spec/padding.py",
        "(size - 1) // s)  # the number",
        "size // s)  # the number",
        "a last window of ceil_mode begins before the image's end",
        "test_pooling.py::test_windows_are_those_of_plain_loops",
    ),
    Mutation(
        "spec/pool.py",
        "self.ends[axis]) // g.dilation",
        "g.spatial_shape[axis]) // g.dilation",
        "padding behind the image counts, where it was asked for",
        "test_pooling.py::test_windows_are_those_of_plain_loops",
    ),
    Mutation(
        "algorithms/pooling/passes.py",
        "[(1, taps - width)]",
        "[(1, taps - width - 1)]",
        "the last of the windows that are joined ends with the whole window",
        "test_pooling.py::test_passes_join_every_tap",
    ),
    Mutation(
        "algorithms/pooling/rows.py",
        "(column * along.stride - along.before)",
        "(column * along.stride + along.before)",
        "the padding before a row shifts it to the right in the room",
        "test_pooling.py::test_windows_are_those_of_plain_loops",
    ),
    Mutation(
        "algorithms/pooling/rows.py",
        "positions[:, None] * self.stride + taps * self.dilation",
        "positions[:, None] * self.stride + taps",
        "taps lie a dilation apart",
        "test_pooling.py::test_windows_are_those_of_plain_loops",
    ),
    Mutation(
        "algorithms/pooling/row_kernel.py",
        "b.mul(b.mul(row, stride), self.pitch)",
        "b.mul(row, self.pitch)",
        "windows begin a stride apart in the room",
        "test_pooling.py::test_windows_are_those_of_plain_loops",
    ),
    Mutation(
        "algorithms/pooling/whole_kernel.py",
        "i if i >= lanes - left else lanes",
        "i if i > lanes - left else lanes",
        "the last vector has as many pixels that are left",
        "test_pooling.py::test_whole_images",
    ),
    Mutation(
        "engine/ordering.py",
        "self._b.select(is_nan, place, self._b.xor(place, lower))",
        "self._b.select(is_nan, self._b.xor(place, lower), place)",
        "the first of equal numbers has the place, and the last of NaNs",
        "test_pooling.py::test_windows_are_those_of_plain_loops",
    ),
    Mutation(
        "layers/pooling_gradients.py",
        "shift = span - 1 - before",
        "shift = span - before",
        "a window's gradient stands in for the pixels from its first tap on",
        "test_pooling_gradients.py::test_adjoints",
    ),
    Mutation(
        "layers/pooling.py",
        "np.cumprod([1, *shape[:0:-1]]",
        "np.cumprod([1, *shape[1:]]",
        "strides of x.ravel() are products of the later axes",
        "test_pooling.py::test_indices_of_the_whole_tensor",
    ),
    Mutation(
        "algorithms/winograd/cook_toom.py",
        "tuple(p**i / scale for i in range(r))",
        "tuple(p**i * scale for i in range(r))",
        "filters at a point are divided by what the others' polynomial is there",
        "test_winograd.py::test_transforms_are_exact",
    ),
    Mutation(
        "algorithms/tiled/tiling.py",
        "corner = np.arange(tiles.start, tiles.stop) * m - before",
        "corner = np.arange(tiles.start, tiles.stop) * m",
        "windows of tiles forget the padding",
        "test_winograd.py::test_layers",
    ),
    Mutation(
        "algorithms/tiled/tiling.py",
        "kept.append(np.minimum(m, self.geometry.output_shape[axis] - corner))",
        "kept.append(np.minimum(m, self.geometry.output_shape[axis] - corner + 1))",
        "a tile keeps a position behind the map's end",
        "test_winograd.py::test_maps_that_no_tiles_fill",
    ),
    Mutation(
        "algorithms/tiled/tiling.py",
        "(tiles.stop - 1) * m - before + size",
        "(tiles.stop - 1) * m - before + m",
        "the copy of a block ends with its positions, not with its windows",
        "test_winograd.py::test_layers",
    ),
    Mutation(
        "algorithms/tiled/into_tiles.py",
        "b.inside(b.sub(i, low), b.sub(high, low))",
        "b.inside(b.sub(i, low), high)",
        "a window that begins in the padding sees pixels behind the image",
        "test_winograd.py::test_layers",
    ),
    Mutation(
        "algorithms/tiled/out_of_tiles.py",
        "vectors.values = [b.plus(vectors.values[0], wrong)]",
        "vectors.values = [wrong]",
        "only the last filters say what is not finite",
        "test_winograd.py::test_what_overflows_in_one_piece_of_the_filters",
    ),
    Mutation(
        "algorithms/tiled/out_of_tiles.py",
        "b.larger(b.any_nan(groups.values[0]), b.load(at, b.i64))",
        "b.any_nan(groups.values[0])",
        "the last piece of the filters forgets what the others said of a tile",
        "test_winograd.py::test_what_overflows_in_one_piece_of_the_filters",
    ),
    Mutation(
        "algorithms/tiled/decide.py",
        "growth = law * (_ONE_SIGN / math.sqrt(parts) + _FEW / p.group_channels)",
        "growth = law / math.sqrt(parts)",
        "tiles that round more than their precision promises",
        "test_winograd.py::test_precision_is_as_promised",
    ),
    Mutation(
        "algorithms/verdicts.py",
        "__version__, compiler.usable_target(), problem",
        "__version__, problem",
        "what was measured on one CPU decides for another",
        "test_tuning.py::test_another_cpu_measures_for_itself",
    ),
    Mutation(
        "algorithms/tuning.py",
        "order.sort(key=bool)",
        "order.sort()",
        "the model's choice stays, but others behind it are in the wrong order",
        "test_tuning.py::test_verdicts_are_in_order",
    ),
    Mutation(
        "algorithms/tuning.py",
        "_NOISE * seconds[order[0]]",
        "seconds[order[0]]",
        "the clock's noise decides against the model",
        "test_tuning.py::test_the_choice_of_the_model_stays",
    ),
    Mutation(
        "algorithms/__init__.py",
        "if each.way == best.way and each.rank",
        "if each.rank",
        "the first of all other ways is taken for the one that was measured",
        "test_tuning.py::test_the_fastest_is_taken_and_right",
    ),
    Mutation(
        "algorithms/separable/factors.py",
        "return _Pair(np.ldexp(down, -exponents).astype(dtype), np.ldexp(across, exponents).astype(dtype))",
        "return _Pair(down.astype(dtype), across.astype(dtype))",
        "sums of columns overflow where the definition's do not",
        "test_separable.py::test_sums_of_columns_do_not_overflow",
    ),
    Mutation(
        "algorithms/separable/factors.py",
        'rounds = precision == "fast" or not _is_whole(kernel)',
        "rounds = True",
        "whole numbers get factors that round",
        "test_separable.py::test_whole_pixels_stay_exact",
    ),
    Mutation(
        "algorithms/separable/factors.py",
        "(0.5, 0.08, -1)",
        "(0.5, 0.08, 1)",
        "rounding is not predicted for pixels that cancel",
        "test_separable.py::test_precision_is_as_promised",
    ),
    Mutation(
        "algorithms/separable/passes.py",
        "(kh, 1), (sh, 1), (g.padding[0], (0, 0)), (dh, 1)",
        "(kh, 1), (sh, 1), (g.padding[0][::-1], (0, 0)), (dh, 1)",
        "the padding above is the padding below",
        "test_separable.py::test_layers",
    ),
    Mutation(
        "algorithms/separable/passes.py",
        "found.append(Band(runs, first, new, last + rows))",
        "found.append(Band(runs, first, new, last + 1))",
        "a band forgets the rows of its last tile",
        "test_separable.py::test_maps_of_all_heights",
    ),
    Mutation(
        "algorithms/separable/prepared.py",
        "out=room - before - band.first * row)",
        "out=room - before)",
        "what is between the passes is written where no band has room",
        "test_separable.py::test_layers",
    ),
    Mutation(
        "algorithms/separable/passes.py",
        "max(0, high - n))",
        "0)",
        "the last strip of a map forgets the padding behind it",
        "test_separable.py::test_strips",
    ),
    Mutation(
        "algorithms/separable/box_sums.py",
        "there = [b.load(place(turn, i), self.kind) for i in range((lanes - rest) % lanes, lanes)]",
        "there = [b.load(place(turn, i), self.kind) for i in range(lanes - rest, lanes)]",
        "sums that are kept for whole tiles are taken from the tile behind",
        "test_boxes.py::test_kernels_of_all_sizes",
    ),
    Mutation(
        "algorithms/separable/box_sums.py",
        "later = sums if width == behind else values",
        "later = values",
        "a window is longer by a tap where it should double",
        "test_boxes.py::test_kernels_of_all_sizes",
    ),
    Mutation(
        "algorithms/separable/box_sums.py",
        'there = b.inside(b.add(row, i), job["height"])',
        'there = b.inside(row, job["height"])',
        "rows below the image are read",
        "test_boxes.py::test_kernels_of_all_sizes",
    ),
    Mutation(
        "algorithms/separable/box_sums.py",
        "            self._clear(self.behind, b.constant(kept(across, lanes)))\n",
        "",
        "a row's first windows see the end of the rows above",
        "test_boxes.py::test_maps_of_all_sizes",
    ),
    Mutation(
        "algorithms/separable/boxes.py",
        "first - lanes * min(-(-(taps - 1) // lanes), -(-(first + lag) // lanes))",
        "first - lanes * min((taps - 1) // lanes, -(-(first + lag) // lanes))",
        "a strip begins where its first windows have begun",
        "test_boxes.py::test_bits_depend_on_neither_threads_nor_batch_nor_strips",
    ),
    Mutation(
        "algorithms/separable/boxes.py",
        "np.ldexp(np.sign(np.abs(weights)), exponents - 1)",
        "np.sign(np.abs(weights))",
        "sums of pixels overflow where the definition's do not",
        "test_boxes.py::test_sums_do_not_overflow_where_the_definition_does_not",
    ),
    Mutation(
        "algorithms/separable/boxes.py",
        "if one.pads_zeros and min(_lags(one)) >= 0 and",
        "if one.pads_zeros and",
        "tiles begin behind results whose windows lie in the padding alone",
        "test_boxes.py::test_padding_modes",
    ),
    Mutation(
        "algorithms/separable/boxes.py",
        "(X, number // one.group_filters * strides[1])",
        "(X, number * strides[1])",
        "each filter reads a channel of its own",
        "test_boxes.py::test_layers",
    ),
    Mutation(
        "layers/stages.py",
        "or w is None or p.kernel_rank is not None:",
        "or w is None:",
        "a call is remembered that other weights would have made otherwise",
        "test_separable.py::test_calls_that_were_looked_at_are_not_remembered",
    ),
    Mutation(
        "algorithms/tiled/into_tiles.py",
        "b.smaller(b.mul(vector, lanes), b.sub(channels, b.constant(count)))",
        "b.mul(vector, lanes)",
        "the last vector of channels or filters begins where another would",
        "test_winograd.py::test_layers",
    ),
    Mutation(
        "algorithms/tiled/prepared.py",
        "for i, count in enumerate(kept)}",
        "for i, count in enumerate(d.tiling.transform.results)}",
        "loops over a tile's results do not end with the map",
        "test_fft.py::test_tiles_of_all_sizes",
    ),
    Mutation(
        "algorithms/fft/planes.py",
        "(n - k + 1 for n, k in zip(self.sizes,",
        "(n - k + 2 for n, k in zip(self.sizes,",
        "a tile keeps a result whose window wraps around",
        "test_planes.py::test_every_result_and_pixel_has_its_place",
    ),
    Mutation(
        "algorithms/fft/planes.py",
        '"last_row": np.clip(height + top - row, 0, self.sizes[0]),',
        '"last_row": np.clip(height - row, 0, self.sizes[0]),',
        "the last rows of an image are taken for its padding",
        "test_planes.py::test_every_result_and_pixel_has_its_place",
    ),
    Mutation(
        "algorithms/fft/prepared_planes.py",
        "filters // p.group_filters * strides[1]",
        "filters * strides[1]",
        "filters of one group read the planes of the next ones",
        "test_planes.py::test_layers",
    ),
    Mutation(
        "algorithms/fft/prepared_planes.py",
        'own[:, PAIR_WORDS.index("flag")] -= room  # which is counted from where the thread\'s memory begins',
        "",
        "the flags of all threads but the first are set elsewhere",
        "test_planes.py::test_bits_depend_on_neither_threads_nor_batch_nor_strides",
    ),
    Mutation(
        "algorithms/fft/plane_kernel.py",
        "enumerate(_swapped(self._spectrum(_swapped(values)))):",
        "enumerate(self._spectrum(values)):",
        "half of the way back is a way there",
        "test_planes.py::test_tiles_of_all_sizes",
    ),
    Mutation(
        "algorithms/fft/plane_kernel.py",
        "b.quotient(b.add(first, b.constant(lanes - 1)), lanes)",
        "b.quotient(first, lanes)",
        "the vector in which the image begins is read from before it",
        "test_planes.py::test_layers",
    ),
    Mutation(
        "algorithms/fft/butterflies.py",
        "found[half + k] = _minus(b, large, im, ei, fused)",
        "found[half + k] = _plus(b, ei, -large, im, fused)",
        "a mirrored frequency is not conjugated",
        "test_fft.py::test_spectra_are_those_of_the_definition",
    ),
    Mutation(
        "algorithms/fft/butterflies.py",
        "-sine, re, fused)",
        "sine, re, fused)",
        "a twiddle factor is not conjugated on the way back",
        "test_fft.py::test_the_way_back_is_the_transpose",
    ),
    Mutation(
        "algorithms/fft/butterflies.py",
        "b.minus(c[k], a[n - k])",
        "b.minus(a[n - k], c[k])",
        "of complex numbers' spectra, frequencies that mirror each other have the wrong sign",
        "test_fft.py::test_spectra_of_complex_numbers",
    ),
    Mutation(
        "algorithms/fft/spectra.py",
        "g = 2 * (",
        "g = 1 * (",
        "a frequency does not count for the one that mirrors it",
        "test_fft.py::test_layers",
    ),
    Mutation(
        "algorithms/fft/spectra.py",
        "_ROUNDING = 1.8",
        "_ROUNDING = 0.3",
        "spectra of few channels that round more than their precision promises",
        "test_fft.py::test_precision_is_as_promised",
    ),
    Mutation(
        "algorithms/fft/passes.py",
        "b.mul(i, size // 2 * part.step)",
        "b.mul(i, part.step)",
        "the second real column is the first complex one",
        "test_fft.py::test_layers",
    ),
    Mutation(
        "algorithms/fft/passes.py",
        "outer = kept[0] * math.prod(re.sizes[1 : axis + 1])",
        "outer = kept[0]",
        "of four axes, planes are left out on the way back",
        "test_fft.py::test_layers",
    ),
    Mutation(
        "algorithms/implicit/tiles/position_tile.py",
        "range(stop - size, stop)",
        "range(stop - size, stop + 1)",
        "passes over a window share a row",
        "test_implicit.py::test_rows_that_share_a_set_of_the_cache",
    ),
    Mutation(
        "algorithms/implicit/tiles/position_lanes.py",
        "if not rest and k in rows]",
        "if not rest and 0 <= k < tile.kernel[0]]",
        "every pass over a window multiplies all of its rows",
        "test_implicit.py::test_rows_that_share_a_set_of_the_cache",
    ),
    Mutation(
        "spec/geometry.py",
        "(n - span) // s + 1 for n, span, s",
        "(n - span + 1) // s for n, span, s",
        "the popular, wrong form of the output shape",
        "test_geometry.py",
    ),
    Mutation(
        "spec/geometry.py",
        "d * (k - 1) + 1 for k, d",
        "d * k for k, d",
        "a window spans d·k pixels",
        "test_geometry.py",
    ),
    Mutation(
        "spec/geometry.py",
        "int(o) * s + int(t) * d - before",
        "int(o) * s + int(t) * d",
        "a pixel's coordinates forget the padding before the axis",
        "test_geometry.py",
    ),
    Mutation(
        "spec/strides.py",
        ".reshape(-1)",
        '.reshape(-1, order="F")',
        "offsets run through the first axis fastest",
        "test_geometry.py",
    ),
    Mutation(
        "spec/geometry.py",
        "tuple(p * s for p, s in zip(pixel_strides, self.stride, strict=True))",
        "tuple(p for p, s in zip(pixel_strides, self.stride, strict=True))",
        "positions are one pixel apart, whatever the stride",
        "test_transform.py",
    ),
    Mutation(
        "spec/geometry.py",
        "tuple(p * d for p, d in zip(pixel_strides, self.dilation, strict=True))",
        "tuple(p for p, d in zip(pixel_strides, self.dilation, strict=True))",
        "taps are one pixel apart, whatever the dilation",
        "test_transform.py",
    ),
    Mutation(
        "spec/padding.py",
        "total = max(0, (-(-n // s) - 1) * s + reach + 1 - n)",
        "total = max(0, (n // s - 1) * s + reach + 1 - n)",
        '"same" rounds the number of stops down',
        "test_padding.py",
    ),
    Mutation(
        "spec/padding.py",
        '"same": (total // 2, total - total // 2)',
        '"same": (total - total // 2, total // 2)',
        'the odd pixel of "same" comes before',
        "test_padding.py",
    ),
    Mutation(
        "spec/padding.py",
        '"causal": (reach, 0)',
        '"causal": (0, reach)',
        '"causal" padding looks into the future',
        "test_padding.py",
    ),
    Mutation(
        "spec/border.py",
        "lines[stop - turn - right : stop - turn]",
        "lines[stop - right : stop]",
        "the pixel at which padding turns is shown twice",
        "test_padding.py",
    ),
    Mutation(
        "spec/border.py",
        "np.add.accumulate(some, axis=0, dtype=some.dtype)[-1]",
        "np.add.reduce(some, axis=0, dtype=some.dtype)",
        "what comes back from a long border is summed in pairs",
        "test_padding.py",
    ),
    Mutation(
        "matrix/frame.py",
        '(1, *kernel) if self.tap_order == "channel-first" else (*kernel, 1)',
        '(1, *kernel) if self.tap_order == "channel-last" else (*kernel, 1)',
        "the tap orders change places",
        "test_transform.py",
    ),
    Mutation(
        "matrix/frame.py",
        "(*strides[:2], *geometry.tap_strides(pixel), *geometry.position_strides(pixel))",
        "(*strides[:2], *geometry.tap_strides(pixel[::-1]), *geometry.position_strides(pixel))",
        "a patch's axes are read in reverse order",
        "test_transform.py",
    ),
    Mutation(
        "spec/geometry.py",
        "max(0, -(t // s))",
        "max(0, -t // s)",
        "the first position of a tap is rounded down",
        "test_geometry.py",
    ),
    Mutation(
        "spec/geometry.py",
        "-((t - n) // s)",
        "-((t - n + 1) // s)",
        "the last pixel of an axis gets nothing back",
        "test_geometry.py",
    ),
    Mutation(
        "matrix/overlap.py",
        "changes[kernel * dilation :: stride]",
        "changes[kernel::stride]",
        "the overlap is counted without dilation",
        "test_fold.py",
    ),
    Mutation(
        "matrix/frame.py",
        "gfgc...->gfc...",
        "gfhc...->gfc...",
        "a group reads all groups' channels",
        "test_transform.py",
    ),
    Mutation(
        "engine/gather_plan.py",
        "end = (across.n - 1) * (across.src < 0)",
        "end = 0",
        "an axis that the source walks backwards is read forwards",
        "test_gather.py::test_every_nest",
    ),
    Mutation(
        "engine/gather_plan.py",
        "(whole * cut.dst, whole * cut.src)",
        "(whole * cut.dst, 0)",
        "the remainder of a cut axis is read from its start",
        "test_gather.py",
    ),
    Mutation(
        "engine/gather_kernels.py",
        "        origin = b.at(src, b.mul(j, itemsize))",
        "        origin = b.at(src, b.mul(far, itemsize))",
        "the last tile is read from where it would pass the end",
        "test_gather.py",
    ),
    Mutation(
        "engine/gather_kernels.py",
        ", b.at(src, b.mul(j, itemsize))",
        ", b.at(src, b.mul(far, itemsize))",
        "the last tile of planes is read from where it would pass the end",
        "test_gather.py",
    ),
    Mutation(
        "engine/scatter_tables.py",
        "place = pixels + walk.before",
        "place = pixels",
        "sums forget the padding before the axis along the lanes",
        "test_scatter.py",
    ),
    Mutation(
        "engine/scatter_plan.py",
        "positions.start * self.stride",
        "positions.start",
        "a block of the matrix forgets the stride of its first position",
        "test_tap_weights.py",
    ),
    Mutation(
        "matrix/fold.py",
        "part.over(positions, 0, 0).before",
        "part.before",
        "a box of the image takes its windows for the first ones",
        "test_tap_weights.py",
    ),
    Mutation(
        "matrix/fold.py",
        "np.copyto(total, 0, where=~covered)",
        "np.copyto(total, 1, where=~covered)",
        "a pixel without weight is 1",
        "test_tap_weights.py",
    ),
    Mutation(
        "algorithms/explicit.py",
        "matrix[groups] @",
        "matrix[:1] @",
        "every group is multiplied by the first group's filters",
        "test_algorithms.py test_convolution.py",
    ),
    Mutation(
        "spec/geometry.py",
        "-((start - n) // d)",
        "-((start - n) // d) - 1",
        "the last tap inside the image counts as padding",
        "test_convolution.py",
    ),
    Mutation(
        "algorithms/implicit/borders.py",
        "append=0)).reshape(-1, 2) * channels",
        "append=0)).reshape(-1, 2)",
        "a span of taps ends after the first channel",
        "test_convolution.py",
    ),
    Mutation(
        "algorithms/implicit/borders.py",
        "np.add.outer(number * len(distinct), index)",
        "np.add.outer(number, index)",
        "rows at different borders see the same taps",
        "test_implicit.py::test_layers",
    ),
    Mutation(
        "algorithms/implicit/packing.py",
        "filters[:, place.filters]",
        "filters[:, : place.split[1] * place.split[2]]",
        "every part of the filters gets the first part's weights",
        "test_implicit.py::test_numbers_of_filters",
    ),
    Mutation(
        "algorithms/implicit/tiles/positions.py",
        "3, 3 + k, 2 + k)",
        "3, 2 + k, 3 + k)",
        "a window's weights are packed row by row for kernels that walk its columns",
        "test_convolution.py",
    ),
    Mutation(
        "algorithms/implicit/ragged.py",
        "np.minimum(sees[..., 1], low)",
        "sees[..., 1]",
        "at a ragged border, a position counts twice what all of its tile see",
        "test_compile_time.py::test_ragged_borders_compute_the_same",
    ),
    Mutation(
        "layers/product.py",
        "np.moveaxis(w, 1, -1)",
        "np.moveaxis(w, 1, 1)",
        "a product multiplies the taps of one channel with all filters",
        "test_product.py::test_many_phases",
    ),
    Mutation(
        "algorithms/implicit/work.py",
        "partial(task.run, weights, bias, weights, bias, x, out) for task",
        "partial(task.run_ids, *map(id, (weights, bias, weights, bias, x, out))) for task",
        "nobody keeps the tables of calls that were handed out",
        "test_memory.py",
    ),
    Mutation(
        "engine/sequence.py",
        "b.add(start, offset)",
        "start",
        "every step is about the beginnings of arrays",
        "test_sequence.py",
    ),
    Mutation(
        "engine/sequence.py",
        "_all(b, at, copies, COPY, starts)",
        "_all(b, at, copies, CALL, starts)",
        "steps are read by the signature of the others",
        "test_sequence.py",
    ),
    Mutation(
        "engine/sequence.py",
        "b.mul(turn, advance)",
        "advance",
        "every turn is the second one",
        "test_sequence.py",
    ),
    Mutation(
        "layers/again.py",
        "x.shape, x.strides, x.dtype, w.shape",
        "x.shape, x.dtype, w.shape",
        "images of other strides are taken for those that were seen",
        "test_calls.py::test_arrays_of_other_strides_and_dtypes_are_other_calls",
    ),
    Mutation(
        "memory.py",
        "return values, kinds",
        "return values",
        "True is remembered as 1",
        "test_calls.py::test_what_is_wrong_is_said_as_before",
    ),
    Mutation(
        "algorithms/implicit/at_once.py",
        "all(one_task(stage.problem.flops) for stage in stages) and",
        "True or",
        "a call that comes again does not ask how many threads there are",
        "test_calls.py::test_threads_that_were_set_meanwhile_count",
    ),
    Mutation(
        "algorithms/implicit/work.py",
        "(image, x_at + x)",
        "(image, x)",
        "every phase of a transpose that comes again reads from the first pixel on",
        "test_layers_again.py",
    ),
    Mutation(
        "algorithms/implicit/at_once.py",
        "at = first, 0 if",
        "at = images, 0 if",
        "every phase of a transpose that comes again reads the first phase's weights",
        "test_layers_again.py",
    ),
    Mutation(
        "layers/again.py",
        "itemsize == 1 and are_small(w)",
        "itemsize == 1 and False",
        "a call of bytes that comes again multiplies great weights as it did small ones",
        "test_small_weights.py",
    ),
    Mutation(
        "algorithms/implicit/packing.py",
        "start = self.filters.start + first * width",
        "start = self.filters.start",
        "every part of weights that outweigh the image is the first",
        "test_bytes_again.py",
    ),
    Mutation(
        "algorithms/implicit/packing.py",
        "self.bias_at + first * self.packed[-1] * size",
        "self.bias_at",
        "what pixels of zero make of weights is taken off the first filters' bias",
        "test_bytes_again.py",
    ),
    Mutation(
        "algorithms/implicit/packing.py",
        "..., slice(rest))]",
        "..., slice(1))]",
        "of channels that lack neighbours, one has weights",
        "test_bytes_again.py",
    ),
    Mutation(
        "algorithms/implicit/bands.py",
        "return planes * self.copy.strides[0] +",
        "return",
        "planes of later bands are read behind those that were converted",
        "test_bytes_again.py",
    ),
    Mutation(
        "algorithms/implicit/bands.py",
        "(first - before) * source.origin[1]",
        "first * source.origin[1]",
        "the padding above moves the image up",
        "test_bytes_again.py",
    ),
    Mutation(
        "algorithms/implicit/dots.py",
        "b.numbers(-zero, kind)",
        "b.numbers(zero, kind)",
        "what pixels of zero make of weights is added once more",
        "test_bytes_again.py",
    ),
    Mutation(
        "engine/number_kernels.py",
        "min(first, run - lanes)",
        "first",
        "the last vector of a run of numbers passes its end",
        "test_number_runs.py",
    ),
    Mutation(
        "algorithms/weight_gradient/at_once.py",
        "if self._cleared:",
        "if False:",
        "the padding of a gradient that comes again is what stood there",
        "test_layers_again.py",
    ),
    Mutation(
        "matrix/way_back.py",
        "floats = fold.is_plain or (fold.is_one_box and gather.is_small(self.nbytes))",
        "floats = True",
        "entries in padding that shows pixels are dropped from the third call on",
        "test_folds_again.py",
    ),
    Mutation(
        "matrix/way.py",
        "self._steps(image) if copied and small and (zeros or not frame.geometry.is_padded) else None",
        "self._steps(image) if copied and small else None",
        "a small matrix that comes again shows zeros for any padding",
        "test_calls.py::test_out_is_checked_each_time test_calls.py::test_a_matrix_that_comes_again_is_right",
    ),
    Mutation(
        "algorithms/implicit/work.py",
        "self._tables.blocks[kind].first * self._tables.out_filter",
        "0",
        "every part of the filters writes the first part's maps",
        "test_implicit.py::test_numbers_of_filters",
    ),
    Mutation(
        "algorithms/implicit/prepared.py",
        "np.flip(w, tuple(range(2, w.ndim)))",
        "np.flip(w, tuple(range(3, w.ndim)))",
        "a flipped kernel keeps its first axis",
        "test_convolution.py",
    ),
    Mutation(
        "algorithms/implicit/tiles/position_rows.py",
        "(pixels >= 0) & (pixels < n)",
        "(pixels > 0) & (pixels < n)",
        "the first pixel of a row counts as padding",
        "test_convolution.py",
    ),
    Mutation(
        "algorithms/implicit/tiles/filter_lanes.py",
        'b.inside(b.sub(nest.job["taps_stop"], stop), one)',
        'b.inside(b.sub(nest.job["taps_stop"], stop), b.constant(0))',
        "no part is the last one: there is no activation",
        "test_parts.py",
    ),
    Mutation(
        "algorithms/implicit/work.py",
        "x_at + first * far.image_bytes[0]",
        "x_at",
        "images that follow those that share weights are the first ones again",
        "test_parts.py",
    ),
    Mutation(
        "algorithms/implicit/tiles/filter_lanes.py",
        "b.larger(start, part.first), b.smaller(stop, part.stop)",
        "start, b.smaller(stop, part.stop)",
        "taps of earlier parts are multiplied again",
        "test_parts.py",
    ),
    Mutation(
        "algorithms/implicit/tiles/filter_lanes.py",
        "b.choose(part.is_first, value, total)",
        "total",
        "the first part is added to what the result held before",
        "test_parts.py",
    ),
    Mutation(
        "algorithms/implicit/prepared.py",
        "slice(None, None, step) for step in copy.step",
        "slice(step - 1, None, step) for step in copy.step",
        "a copy of the pixels before the stops",
        "test_stops.py",
    ),
    Mutation(
        "algorithms/implicit/tiles/epilogue.py",
        "b.numbers(1 / 6, kind)",
        "b.numbers(1 / 5, kind)",
        "hardswish has a steeper gate",
        "test_activation.py",
    ),
    Mutation(
        "algorithms/implicit/tiles/epilogue.py",
        "b.select_at_least(a, zero, a,",
        "b.select_at_least(zero, a, a,",
        "leaky_relu is steep below zero",
        "test_activation.py",
    ),
    Mutation(
        "pictures/pictured_layer.py",
        'order = self.memory if "C" in self.memory else "C" + self.memory',
        'order = "C" + self.memory.replace("C", "")',
        "addresses are those of channels first, whatever the layout",
        "test_scene.py",
    ),
    Mutation(
        "pictures/pictured_layer.py",
        "return filter_ // (self.filters // self.groups) * self.group_channels",
        "return filter_ // self.groups * self.group_channels",
        "a filter of the last group reads another group's channels",
        "test_scene.py",
    ),
    Mutation(
        "pictures/panels.py",
        "return (channel, width * b.layer.channels, b.layer.channels)",
        "return (channel, width * b.layer.channels, 1)",
        "windows number their taps channel-first, whatever the order",
        "test_scene.py",
    ),
    Mutation(
        "pictures/panels.py",
        "inside = (corner[0] if g.ndim > 1 else 0) * width + corner[1]",
        "inside = corner[1]",
        "the image without its padding is shown a few rows too high",
        "test_scene.py",
    ),
    Mutation(
        "pictures/highlight.py",
        "by_pixel[window] = ranks",
        "by_pixel[window] = np.arange(len(ranks)) + 1",
        "the order in a patch counts channels that the filter does not read",
        "test_scene.py",
    ),
    Mutation(
        "pictures/plane.py",
        "kept.update(range(max(0, one - 1), min(length, one + 2)))",
        "kept.update(range(max(0, one - 1), min(length, one + 1)))",
        "the row after the selection is left out",
        "test_scene.py",
    ),
    Mutation(
        "spec/border.py",
        "np.add(to, source, out=to)",
        "np.copyto(to, source)",
        "what comes back from the padding takes the place of what the pixel had",
        "test_input_gradient.py::test_by_hand",
    ),
    Mutation(
        "spec/transposed.py",
        "(tap, (tap * dilation - before) % stride)",
        "(tap, tap * dilation % stride)",
        "phases begin where they would without padding",
        "test_transpose.py::test_padding_crops",
    ),
    Mutation(
        "spec/transposed.py",
        "slice(tap, kernel, step), dilation",
        "slice(0, kernel, step), dilation",
        "every phase takes the taps of the first",
        "test_transpose.py::test_by_hand",
    ),
    Mutation(
        "spec/transposed.py",
        "dilation * step // stride",
        "dilation",
        "the taps of a phase are as far apart as those of the whole kernel",
        "test_transpose.py::test_conv_transpose_is_the_definition",
    ),
    Mutation(
        "spec/transposed.py",
        "(first + before - tap * dilation) // stride",
        "(first + before) // stride",
        "the window of a phase starts as if its first tap were the kernel's",
        "test_transpose.py::test_layers_of_many_channels",
    ),
    Mutation(
        "spec/transposed.py",
        "(low - start, stop - high)",
        "(stop - high, low - start)",
        "the padding of a phase is on the wrong side",
        "test_transpose.py::test_by_hand",
    ),
    Mutation(
        "layers/phases.py",
        "*w.shape[1:], copy=False).swapaxes(1, 2)",
        "*w.shape[1:], copy=False)",
        "filters and channels do not change places",
        "test_transpose.py::test_a_kernel_of_one_tap",
    ),
    Mutation(
        "spec/transposed.py",
        "(n - 1) * s + d * (t - 1) + 1 for n",
        "(n - 1) * s + d * t for n",
        "the kernels of a transposed convolution reach d·k pixels",
        "test_transpose.py::test_by_hand",
    ),
    Mutation(
        "spec/transposed.py",
        't // 2 if name == "same" else t - t // 2',
        "t // 2",
        '"same_lower" crops as "same" does',
        "test_transpose.py::test_by_hand",
    ),
    Mutation(
        "layers/input_gradient.py",
        "before=(0,) * g.ndim if folding else tuple",
        "before=tuple",
        "padding that is folded back is cut off, too",
        "test_input_gradient.py::test_by_hand",
    ),
    Mutation(
        "layers/sparse_matrix.py",
        "nowhere = -math.prod(problem.x_shape)",
        "nowhere = -1",
        "a tap in the padding of one axis is a pixel by another",
        "test_operators.py::test_the_matrix_is_canonical_as_scipy_finds",
    ),
    Mutation(
        "spec/quantization.py",
        "min(map(np.min, bounds)) >= -128 and max(map(np.max, bounds)) <= 127",
        "max(map(np.max, bounds)) <= 127",
        "weights that their zero points take below int8 wrap",
        "test_quantized.py::test_sums_wrap",
    ),
    Mutation(
        "algorithms/weight_gradient/explicit.py",
        "slice(group * p.group_channels + first, group * p.group_channels + stop)",
        "slice(first, stop)",
        "the weights of every group meet the first group's channels",
        "test_weight_gradient.py::test_layers_of_many_channels",
    ),
    Mutation(
        "algorithms/weight_gradient/decide.py",
        "tuple((first + i * size) * taps for i in range(count))",
        "tuple(i * size * taps for i in range(count))",
        "tiles of fewer channels start at the first channel, too",
        "test_golden.py::test_small_layers[zen4-float64] test_weight_gradient.py::test_layers_of_many_channels",
    ),
    Mutation(
        "algorithms/implicit/tiles/window_lanes.py",
        "b.mul(b.quotient(first, filters), channels)",
        "b.quotient(first, filters)",
        "groups of several channels start a channel apart",
        "test_windows.py::test_every_tile_of_groups_computes_the_same_bits",
    ),
    Mutation(
        "algorithms/implicit/tiles/window_lanes.py",
        "lane // channels * channels * each + part",
        "lane * each + part",
        "each lane counts its group's channels from its own one on",
        "test_windows.py::test_every_tile_of_groups_computes_the_same_bits",
    ),
    Mutation(
        "algorithms/implicit/tiles/window_lanes.py",
        "b.mul(state.index, tile.kernel[0] * tile.kernel[1] * self.packed)",
        "b.mul(state.index, tile.kernel[0] * self.packed)",
        "the weights of a group's channels lie a column of the window apart",
        "test_windows.py::test_every_tile_of_groups_computes_the_same_bits",
    ),
    Mutation(
        "engine/numbers.py",
        "[self._b.bitcast(a, kind), words]",
        "[self._b.bitcast(a, kind), self._ir.Constant(words.type, None)]",
        "every lane is given the first of a vector's pixels",
        "test_windows.py::test_every_tile_of_groups_computes_the_same_bits",
    ),
    Mutation(
        "algorithms/weight_gradient/decide.py",
        "pixels[np.array(piece.starts) + first]",
        "pixels[np.array(piece.starts)]",
        "a tile that begins in the middle of a window reads from its corner",
        "test_weight_gradient.py::test_kernels_from_one_pixel_to_the_image",
    ),
    Mutation(
        "algorithms/weight_gradient/decide.py",
        "(image, *g.position_strides(pixel))",
        "(image, *g.tap_strides(pixel))",
        "sums go from tap to tap, not from position to position",
        "test_weight_gradient.py::test_layers_of_many_channels",
    ),
    Mutation(
        "algorithms/weight_gradient/prepared.py",
        "first = sum(s.start * step for",
        "first = sum(0 * step for",
        "every block of positions meets the first block's pixels",
        "test_weight_gradient.py::test_sums_in_boxes_of_any_size",
    ),
    Mutation(
        "algorithms/weight_gradient/prepared.py",
        "_calls_for(shape, number > 0)",
        "_calls_for(shape, number > 1)",
        "the second block of positions writes over the sums of the first",
        "test_weight_gradient.py::test_sums_in_boxes_of_any_size",
    ),
    Mutation(
        "algorithms/implicit/dots.py",
        "filled[..., :channels]",
        "filled[..., -channels:]",
        "the channels that a lane lacks come first",
        "test_dot.py::test_pairs_of_int16",
        "i2",
    ),
    Mutation(
        "spec/quantization.py",
        "_SMALL = 64",
        "_SMALL = 65",
        "two products of small weights pass 16 bits",
        "test_small_weights.py::test_sums_are_exact",
        "u1i7",
    ),
    Mutation(
        "algorithms/implicit/dots.py",
        "np.int32(-dot.zero)",
        "np.int32(dot.zero)",
        "what a moved zero adds to the sums is added once more",
        "test_quantized.py::test_padding_is_the_zero_point",
        "u1i1",
    ),
    Mutation(
        "algorithms/implicit/prepared.py",
        "(value.astype(np.int64) + copy.offset)",
        "value.astype(np.int64)",
        "padding is not moved as the pixels are",
        "test_quantized.py::test_padding_is_the_zero_point",
        "i2",
    ),
    Mutation(
        "algorithms/implicit/tiles/epilogue.py",
        "b.numbers(high - point, real.type)",
        "b.numbers(high, real.type)",
        "the greatest byte is that before the zero point is added",
        "test_quantized.py::test_results_saturate",
    ),
    Mutation(
        "engine/builder.py",
        "[i or 0 for i in source]",
        "[0 for i in source]",
        "every lane that is stored apart is the first",
        "test_stores.py::test_lanes_are_stored_apart",
    ),
    Mutation(
        "algorithms/implicit/tiles/gradient_rows.py",
        'b.inside(b.add(band, job["adds"]), b.constant(1))',
        "b.inside(band, b.constant(1))",
        "the sums of some images replace those of the ones before",
        "test_gradient_rows.py::test_bands_and_boxes",
    ),
    Mutation(
        "algorithms/implicit/tiles/gradient_rows.py",
        "b.load_some(at, kind, [bool(seen >> i & 1) for i in range(kind.count)])",
        "b.load(at, kind)",
        "beside a row, the pixels of its neighbours are read for padding",
        "test_gradient_rows.py::test_every_tile",
    ),
    Mutation(
        "algorithms/weight_gradient/row_shapes.py",
        "low = max(0, -(shifts[0] // (step * s)))",
        "low = max(-1, -(shifts[0] // (step * s)))",
        "taps far inside begin a step too early",
        "test_gradient_rows.py::test_segments_cut_a_row",
    ),
    Mutation(
        "layers/product.py",
        "(2 + k + axis, 2 + axis) for axis",
        "(2 + axis, 2 + k + axis) for axis",
        "the pixels of a patch and the patches of a row change places",
        "test_product.py::test_patches",
    ),
    Mutation(
        "engine/builder.py",
        "value, address = rest.values",
        "value = rest.values[0]",
        "all parts below a count are stored in the first one's place",
        "test_stores.py::test_the_first_lanes_are_stored",
    ),
    Mutation(
        "engine/builder.py",
        "c % beside * n, n)",
        "c % beside, n)",
        "columns of few rows overlap",
        "test_stores.py::test_tiles_of_fewer_rows_than_lanes_are_transposed",
    ),
    Mutation(
        "integrations/onnx/network/fusing.py",
        "return scale, shift - mean * scale",
        "return scale, shift - mean",
        "a folded normalisation forgets to scale the mean",
        "test_networks.py::test_what_follows_a_convolution_is_folded_into_it",
    ),
    Mutation(
        "integrations/onnx/network/fusing.py",
        "by_group = scale.reshape(groups, 1, -1) if transposed else scale.reshape(groups, -1, 1)",
        "by_group = scale.reshape(-1, 1, groups).T if transposed else scale.reshape(groups, -1, 1)",
        "the maps of a transposed convolution are scaled as if its groups lay inside",
        "test_networks.py::test_what_follows_a_convolution_is_folded_into_it",
    ),
    Mutation(
        "integrations/onnx/network/fusing.py",
        "return (ones, -each) if first else (-ones, each)",
        "return (ones, -each)",
        "a difference is folded the wrong way round",
        "test_networks.py::test_what_follows_a_convolution_is_folded_into_it",
    ),
    Mutation(
        "integrations/onnx/network/fusing.py",
        "if shape[1] not in (1, maps) or any(n != 1 for axis, n in enumerate(shape) if axis != 1):",
        "if value.size not in (1, maps):",
        "a number for each row is folded as one for each map",
        "test_networks.py::test_what_cannot_be_folded_is_not",
    ),
    Mutation(
        "integrations/onnx/network/fusing.py",
        "if len(readers) != 1 or name in self._graph.outputs or readers[0].domain:",
        "if len(readers) != 1 or readers[0].domain:",
        "a value that the network gives out is folded away",
        "test_networks.py::test_what_is_given_out_is_not_folded_away",
    ),
    Mutation(
        "integrations/onnx/network/program.py",
        "last.update((groups[place], number) for place in (*ins, *outs) if place >= 0)",
        "last.update((place, number) for place in (*ins, *outs) if place >= 0)",
        "a buffer is used again while a view of it is still to be read",
        "test_networks.py::test_what_shows_a_buffer_keeps_it",
    ),
    Mutation(
        "integrations/onnx/network/program.py",
        "if place >= 0 and groups[place] in done and len(members[groups[place]]) == 1",
        "if place >= 0 and groups[place] in done",
        "an input is overwritten that another name shows",
        "test_networks.py",
    ),
    Mutation(
        "integrations/onnx/network/arrays.py",
        "last = min(max(last, -1), n - 1)",
        "last = max(last, 0)",
        "a backward slice stops before the first element",
        "test_network_operators.py",
    ),
    Mutation(
        "integrations/onnx/network/arrays.py",
        "each = -(-length // node.outputs)",
        "each = length // node.outputs",
        "an uneven split leaves a rest",
        "test_network_operators.py",
    ),
    Mutation(
        "integrations/onnx/network/recurrent.py",
        "alive = (t < ends)[:, None]",
        "alive = (t <= ends)[:, None]",
        "a short sequence runs one step too far",
        "test_network_operators.py::test_recurrent_layers",
    ),
    Mutation(
        "integrations/onnx/network/control.py",
        "while alive and (turns is None or turn < turns):",
        "while turns is None or turn < turns:",
        "a loop goes on when its body says stop",
        "test_network_operators.py::test_loops",
    ),
    Mutation(
        "integrations/onnx/network/elementwise.py",
        "quotient += (quotient < 0) & (quotient * b != a)",
        "pass",
        "a quotient of integers is rounded down",
        "test_network_operators.py",
    ),
    Mutation(
        "integrations/onnx/taps.py",
        "first = np.floor(place - reach) + 1",
        "first = np.floor(place - reach)",
        "the window of a resized pixel begins one too early, and ends so",
        "test_onnx_operators.py::test_the_evaluator_resizes_alike",
    ),
    Mutation(
        "integrations/onnx/taps.py",
        "np.abs(pixels - place[:, None]) / stretch",
        "np.abs(pixels - place[:, None])",
        "antialiasing widens the window but not its weights",
        "test_onnx_operators.py::test_the_evaluator_resizes_alike",
    ),
    Mutation(
        "integrations/onnx/taps.py",
        "part[(slice(None),) * axis + (weight == 0,)] = 0",
        "pass",
        "an infinite pixel of weight 0 is read",
        "test_onnx_operators.py::test_infinity_stays_where_it_is_read",
    ),
    Mutation(
        "integrations/onnx/taps.py",
        "self.size / 2 * (1 - self.length / resized)",
        "self.size / 2 * (1 - resized / self.length)",
        "the symmetric half pixel leans the other way",
        "test_onnx_operators.py::test_the_evaluator_finds_the_same_places",
    ),
    Mutation(
        "integrations/onnx/taps.py",
        "return half_pixel if resized > 1 else x * 0",
        "return half_pixel",
        "one pixel of the result lies between pixels",
        "test_onnx_operators.py::test_an_axis_of_one_pixel_takes_the_first",
    ),
    Mutation(
        "integrations/onnx/resize.py",
        "math.floor(n * each + 0.5)",
        "math.floor(n * each)",
        "lengths that keep the aspect ratio are rounded down",
        "test_onnx_operators.py::test_the_aspect_ratio",
    ),
    Mutation(
        "integrations/onnx/resize.py",
        'nearest_mode or ("floor" if each.scale >= 1 else "ceil")',
        'nearest_mode or "floor"',
        "before opset 11 the nearest pixel goes down where an axis shrinks, too",
        "test_onnx_operators.py::test_opset_10_rounds_up_where_an_axis_shrinks",
    ),
    Mutation(
        "integrations/xarray/coordinates.py",
        "divmod(span - 1 - 2 * before, 2)",
        "divmod(span - 2 * before, 2)",
        "centres are half a pixel behind those of the windows",
        "test_xarray_integration.py::test_coordinates",
        needs="xarray",
    ),
    Mutation(
        "integrations/xarray/coordinates.py",
        "max(0, last - (self.pixels - 1))",
        "max(0, last - self.pixels)",
        "a centre right behind the image is taken for one of its pixels",
        "test_xarray_integration.py::test_coordinates",
        needs="xarray",
    ),
    Mutation(
        "integrations/xarray/coordinates.py",
        "way[-1:] / (count - 1)",
        "way[-1:] / count",
        "steps are those of one pixel more",
        "test_xarray_integration.py::test_coordinates",
        needs="xarray",
    ),
    Mutation(
        "integrations/xarray/coordinates.py",
        "way = line - line[:1]",
        "way = line.astype(np.float64) - line[:1]",
        "times are subtracted as floats, which have fewer digits",
        "test_xarray_integration.py::test_coordinates",
        needs="xarray",
    ),
    Mutation(
        "integrations/xarray/coordinates.py",
        "(ticks & 1).all(axis=0)",
        "(ticks & 1).any(axis=0)",
        "halves of nanoseconds are rounded up, and not down",
        "test_xarray_integration.py::test_coordinates",
        needs="xarray",
    ),
    Mutation(
        "integrations/xarray/names.py",
        "key=lambda i: dims.index(windows[i])",
        "key=lambda i: i",
        "kernels lie as their names were given, and not as the array",
        "test_xarray_integration.py::test_every_way_to_slide",
        needs="xarray",
    ),
    Mutation(
        "blocks/axis.py",
        "return (edge + self.before - self.span) // self.stride + 1",
        "return (edge + self.before - self.span) // self.stride + 2",
        "a block ends with a window that needs the next chunk",
        "test_convolve_blocks.py::test_blocks_along_an_axis test_convolve_blocks.py::test_each_chunk_is_read_once",
    ),
    Mutation(
        "blocks/axis.py",
        "last = int(end[-1]) if len(end) else last",
        "last = NOTHING",
        "what one table of blocks read, the next one counts again",
        "test_convolve_blocks.py::test_blocks_along_an_axis",
    ),
    Mutation(
        "blocks/plan.py",
        "key=lambda found: found[0].bytes_read",
        "key=lambda found: -found[0].bytes_read",
        "the cut that reads most is taken",
        "test_convolve_blocks.py::test_blocks_roll_along_the_longer_axis",
    ),
    Mutation(
        "photo/png_rows.py",
        "if self._stop + count == self._header.height:",
        "if self._stop + count > self._header.height:",
        "the checksum of a PNG file is not read",
        "test_photo_rows.py::test_a_pixel_that_is_damaged_is_not_shown",
        needs="tifffile",
    ),
    Mutation(
        "blocks/ends.py",
        "start = mapped.offset - byte_bounds(mapped)[0]",
        "start = -byte_bounds(mapped)[0]",
        "maps of two parts of a file count as maps of its beginning",
        "test_convolve_blocks.py::test_parts_of_one_file",
    ),
    Mutation(
        "blocks/axis.py",
        "ahead = units * chunk + max(self.span - 1, self.before)",
        "ahead = units * chunk + self.before",
        "what a block shares with the one before it has no room",
        "test_convolve_blocks.py::test_blocks_along_an_axis",
    ),
    Mutation(
        "blocks/axis.py",
        "fresh = max(known, piece.low)",
        "fresh = max(known + 1, piece.low)",
        "a row between two blocks is not read",
        "test_convolve_blocks.py::test_blocks_along_an_axis",
    ),
    Mutation(
        "blocks/axis.py",
        "here = (pixels >= own_first) & (pixels < own_stop)",
        "here = pixels >= own_first",
        "padding is copied from pixels that the block does not have",
        "test_convolve_blocks.py::test_blocks_along_an_axis",
    ),
    Mutation(
        "blocks/axis.py",
        "np.minimum(-(-high // chunk) * chunk, self.n)",
        "np.minimum(high, self.n)",
        "a chunk that two blocks need is read twice",
        "test_convolve_blocks.py::test_each_chunk_is_read_once",
    ),
    Mutation(
        "blocks/reader.py",
        "shift, shared = piece.low - last.low, last.end - piece.low",
        "shift, shared = piece.low - last.low, last.high - piece.low",
        "what was read ahead is not moved",
        "test_convolve_blocks.py::test_any_layer test_convolve_blocks.py::test_each_chunk_is_read_once",
    ),
    Mutation(
        "blocks/reader.py",
        "lines = room[tuple(fresh)] if i != roll else room",
        "lines = room[tuple(fresh)]",
        "padding counts from the first row that is new",
        "test_convolve_blocks.py::test_any_layer test_convolve_blocks.py::test_beside_scipy",
    ),
    Mutation(
        "blocks/reader.py",
        "edges = [taken.start, *range((taken.start // step + 1) * step, taken.stop, step), taken.stop]",
        "edges = [taken.start, *range(taken.start + step, taken.stop, step), taken.stop]",
        "parts that are read in one go share a chunk",
        "test_convolve_blocks.py::test_chunks_at_a_cut_are_read_twice",
    ),
    Mutation(
        "blocks/npy_file.py",
        "strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]",
        "strides = [math.prod(block.shape[i + 1 :]) for i in range(len(shape))]",
        "blocks lie in the file as if they were all of it",
        "test_convolve_blocks.py::test_files_of_any_layout",
    ),
    Mutation(
        "blocks/run.py",
        "if done >= known:",
        "if done > known:",
        "a run that goes on leaves out a block",
        "test_convolve_blocks.py::test_a_source_that_fails_and_goes_on",
    ),
    Mutation(
        "spec/cuts.py",
        "-(-(edge + before - middle) // stride)",
        "-(-(edge + before) // stride)",
        "positions belong to the chunk of their window's first pixel",
        "test_dask_integration.py::test_cuts_of_windows",
    ),
    Mutation(
        "spec/cuts.py",
        "return first * stride - before, (stop - 1) * stride - before + span",
        "return first * stride - before, stop * stride - before + span",
        "blocks of windows are a stride too long",
        "test_dask_integration.py::test_cuts_of_windows",
    ),
    Mutation(
        "spec/cuts.py",
        "-(-(start - span + 1) // stride)",
        "-(-(start - span) // stride) + 1",
        "a transpose leaves out the first element that reaches a chunk",
        "test_dask_integration.py::test_cuts_of_transposes",
    ),
    Mutation(
        "spec/cuts.py",
        "start, end = low + before, high + before",
        "start, end = low, high",
        "a transpose forgets what is cut before its result",
        "test_dask_integration.py::test_cuts_of_transposes",
    ),
    Mutation(
        "spec/cuts.py",
        "if bounds[-1] + 2 <= edge <= total - 2:",
        "if bounds[-1] + 1 <= edge <= total - 1:",
        "a channel may be alone in its block",
        "test_dask_integration.py::test_cuts_of_channels",
    ),
    Mutation(
        "spec/cuts.py",
        "local = pixels[place] - edges[number]",
        "local = pixels[place] - edges[number - 1]",
        "pixels are counted from the chunk before",
        "test_dask_integration.py::test_cuts_of_windows",
    ),
    Mutation(
        "algorithms/implicit/tiles/positions.py",
        "at_once=0 if view.fixed else shape._few_enough(view, target)",
        "at_once=shape._few_enough(view, target)",
        "how many rows pass at once follows where they lie, in chunks too",
        "test_chunks.py::test_rows_of_any_pitch",
    ),
    Mutation(
        "integrations/onnx/deformed.py",
        "index = index * n + np.where",
        "index = index + n * np.where",
        "rows and columns of samples are exchanged",
        "test_onnx_operators.py::test_taps_between_pixels",
    ),
    Mutation(
        "integrations/onnx/deformed.py",
        "np.arange(k)[:, None] * d + np.arange(n) * s - float(before)",
        "np.arange(k)[:, None] * d + np.arange(n) * s",
        "deformed taps forget the padding",
        "test_onnx_operators.py::test_taps_between_pixels",
    ),
    Mutation(
        "integrations/onnx/deformed.py",
        "seen = weight != 0",
        "seen = weight >= 0",
        "a pixel beside a tap that lies on another is read",
        "test_onnx_operators.py::test_offsets_of_nothing_leave_a_convolution",
    ),
    Mutation(
        "integrations/onnx/pools.py",
        "np.ravel_multi_index(places[::-1], spatial[::-1])",
        "np.ravel_multi_index(places[::-1], spatial)",
        "indices that count columns first have the rows' steps",
        "test_onnx_operators.py::test_indices_lead_back",
    ),
    Mutation(
        "integrations/onnx/pools.py",
        "(n - 1) * s - sum(pads) + k",
        "n * s - sum(pads)",
        "an unpooled image forgets the window's size",
        "test_onnx_operators.py::test_an_unpooled_image_is_as_large_as_its_windows_reach",
    ),
    Mutation(
        "integrations/onnx/pools.py",
        "np.where(indices == -1, -1, indices - _first_pixels(shape))",
        "indices - _first_pixels(shape)",
        "a window that lay in the padding alone is put somewhere",
        "test_onnx_operators.py::test_an_unpooled_image_is_as_large_as_its_windows_reach",
    ),
    Mutation(
        "integrations/onnx/node.py",
        "zip(pads[:axes], pads[axes:], strict=True)",
        "zip(pads[::2], pads[1::2], strict=True)",
        "pads are taken as pairs",
        "test_onnx_operators.py::test_pads_are_those_before_all_axes_then_those_after",
    ),
    Mutation(
        "integrations/onnx/convolutions.py",
        "whole[:, :, whole.shape[2] - before[2] :]",
        "whole[:, :, : before[2]]",
        "the state of a causal convolution is the past's",
        "test_onnx_operators.py::test_the_backend_suite",
    ),
    Mutation(
        "integrations/onnx/normalization.py",
        "old.astype(precise) * momentum + new * (1 - momentum)",
        "old.astype(precise) * (1 - momentum) + new * momentum",
        "running statistics forget too fast",
        "test_onnx_operators.py::test_a_model_in_training_uses_those_of_the_batch",
    ),
    Mutation(
        "integrations/torch/pools.py",
        "n + 2 * p - d * (k - 1) - 1",
        "n + p - d * (k - 1) - 1",
        "a pooled image is told to have no padding behind",
        "test_torch_integration.py::test_shapes_without_memory_are_torchs",
        needs="torch",
    ),
    Mutation(
        "integrations/torch/pools.py",
        "(room + s - 1) // s + 1",
        "room // s + 1",
        "a last window of ceil_mode is not told of",
        "test_torch_integration.py::test_shapes_without_memory_are_torchs",
        needs="torch",
    ),
    Mutation(
        "integrations/torch/pools.py",
        ">= n + p else count",
        "> n + p else count",
        "a last window that begins behind the image is told of",
        "test_torch_integration.py::test_shapes_without_memory_are_torchs",
        needs="torch",
    ),
    Mutation(
        "integrations/torch/operators.py",
        "(n + b + a - d * (k - 1) - 1)",
        "(n + 2 * b - d * (k - 1) - 1)",
        "the padding behind is taken for that before",
        "test_torch_integration.py::test_shapes_without_memory_are_torchs",
        needs="torch",
    ),
    Mutation(
        "integrations/torch/convolutions.py",
        "(n - 1) * s - 2 * p + d * (k - 1) + 1 + more",
        "(n - 1) * s - 2 * p + k + more",
        "a transpose is told to have no dilation",
        "test_torch_integration.py::test_shapes_without_memory_are_torchs",
        needs="torch",
    ),
    Mutation(
        "integrations/torch/columns.py",
        "x.shape[-spatial - 1] * math.prod(kernel_size)",
        "math.prod(kernel_size)",
        "columns are told to have one channel",
        "test_torch_integration.py::test_shapes_without_memory_are_torchs",
        needs="torch",
    ),
    Mutation(
        "integrations/torch/arguments.py",
        "(p // 2, p - p // 2)",
        "(p - p // 2, p // 2)",
        "of an odd padding by name the larger part lies before",
        "test_torch_integration.py::test_padding_modes_are_those_of_torchs_modules",
        needs="torch",
    ),
    Mutation(
        "integrations/torch/convolutions.py",
        "more // s for more, s in zip",
        "0 * s for more, s in zip",
        "windows that begin in the output padding are forgotten",
        "test_torch_integration.py::test_transposes_are_torchs",
        needs="torch",
    ),
    Mutation(
        "integrations/torch/arguments.py",
        'for p in per_axis("padding", padding, count, 0) for pixels in (p, p)',
        'for p in reversed(per_axis("padding", padding, count, 0)) for pixels in (p, p)',
        "paddings belong to the axes in reverse",
        "test_torch_integration.py::test_convolutions_are_torchs",
        needs="torch",
    ),
    Mutation(
        "integrations/torch/convolutions.py",
        "kind = call, window, last, threads, *kind_of(*arrays)",
        "kind = call, window, last, threads, x.shape, w.shape",
        "a call is known by its shapes alone",
        "test_torch_integration.py::test_numbers_of_any_dtype_come_again",
        needs="torch",
    ),
    Mutation(
        "integrations/torch/pools.py",
        "kind = call, window, last, threads, array.shape, array.strides, array.dtype",
        "kind = call, window, threads, array.shape, array.dtype",
        "a pool is known whatever its strides",
        "test_torch_integration.py::test_calls_that_come_again_give_what_the_first_gives",
        needs="torch",
    ),
    Mutation(
        "integrations/keras.py",
        "d * (k - 1) for k, d in zip(w.shape",
        "k - 1 for k, d in zip(w.shape",
        "a transpose is cut as if its kernel had no gaps",
        "test_keras_integration.py::test_operations_give_what_jax_gives",
        needs="keras",
    ),
    Mutation(
        "integrations/keras.py",
        "max(0, -after) for _, after in cut",
        "max(0, after) for _, after in cut",
        "zeros are added where pixels are cut off",
        "test_keras_integration.py::test_operations_give_what_jax_gives",
        needs="keras",
    ),
    Mutation(
        "integrations/keras.py",
        "kernel.transpose(-1, -2, *range",
        "kernel.transpose(-2, -1, *range",
        "filters and channels of a kernel are exchanged",
        "test_keras_integration.py::test_operations_give_what_jax_gives",
        needs="keras",
    ),
    Mutation(
        "integrations/keras.py",
        "w.reshape(*w.shape[:-2], 1, w.shape[-2] * w.shape[-1])",
        "w.swapaxes(-1, -2).reshape(*w.shape[:-2], 1, w.shape[-2] * w.shape[-1])",
        "the filters of each channel lie a channel apart",
        "test_keras_integration.py::test_operations_give_what_jax_gives",
        needs="keras",
    ),
    Mutation(
        "integrations/keras.py",
        "count_include_pad=False",
        "count_include_pad=True",
        "the padding's zeros belong to a mean",
        "test_keras_integration.py::test_operations_give_what_jax_gives",
        needs="keras",
    ),
    Mutation(
        "integrations/jax/functions.py",
        "missing = (n - 1) * s",
        "missing = n * s",
        "the convolution of a transpose's gradient has a stop too many",
        "test_jax_integration.py::test_transposes",
        needs="jax",
    ),
    Mutation(
        "integrations/jax/calls.py",
        'lead + layout.startswith("N")',
        "lead",
        "mapped batches are not one batch",
        "test_jax_integration.py::test_layouts",
        needs="jax",
    ),
    Mutation(
        "integrations/jax/convolutions.py",
        "run(call, shape, grad, jnp.conj(w))",
        "run(call, shape, grad, w)",
        "complex gradients are conjugated, as JAX does not have them",
        "test_jax_integration.py::test_complex_numbers",
        needs="jax",
    ),
    Mutation(
        "integrations/jax/convolutions.py",
        "jnp.conj(run(call, shape, x, jnp.conj(grad)))",
        "run(call, shape, jnp.conj(x), grad)",
        "what lies around an image is conjugated in gradients of weights",
        "test_jax_integration.py::test_gradients_with_a_complex_padding_value",
        needs="jax",
    ),
    Mutation(
        "matrix/image_tiles.py",
        "type(i) is int and 0 <= i < n for i, n",
        "type(i) is int and i < n for i, n",
        "a tile's place may count from the end",
        "test_image_tiles.py::test_tiles_that_nobody_cut",
    ),
    Mutation(
        "integrations/jax/pools.py",
        "np.moveaxis(out, spatial, last)[...]",
        "np.moveaxis(out, spatial, range(len(spatial)))[...]",
        "slopes of maxima are written across the axes",
        "test_jax_integration.py::test_pools",
        needs="jax",
    ),
]


def planted(mutation: Mutation) -> Plant:
    """Return the file with its bug, and the tests that must notice; ValueError where the text has changed."""
    text = (PACKAGE / mutation.file).read_text()
    if text.count(mutation.old) != 1:
        raise ValueError(f"{mutation.old!r} stands {text.count(mutation.old)} times in {mutation.file}")
    return Plant(mutation.file, text.replace(mutation.old, mutation.new), tuple(mutation.tests.split()))


def one_in(every: Sequence[T]) -> Sequence[T]:
    """Return all of a list, or every so manieth if the environment says so.

    ``IM2COL_MUTATE_EVERY=10 IM2COL_MUTATE_SEED=3`` takes the numbers 3, 13, 23 and so on.
    """
    step = int(os.environ.get("IM2COL_MUTATE_EVERY", "1"))
    return every[int(os.environ.get("IM2COL_MUTATE_SEED", "0")) % step :: step]


def by_hand() -> dict[str, Plant]:
    """Return the mutations of the table that this CPU, and what is installed, can run, by what is wrong with them."""
    code = "import sys; from im2col.engine.target import host; print(*filter(host().has_dot, sys.argv[1:]))"
    asked = [sys.executable, "-c", code, *{m.dot for m in MUTATIONS if m.dot}]
    paths = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    dots = {"", *subprocess.run(asked, env=paths, capture_output=True, text=True, check=True).stdout.split()}
    there = [m for m in one_in(MUTATIONS) if m.dot in dots and (not m.needs or find_spec(m.needs))]
    return {f"{m.file}: {m.why}": planted(m) for m in there}


def generated() -> tuple[dict[str, Plant], list[str]]:
    """Return the generated mutants, and stale names of equivalent ones."""
    every = [(mutant, tests) for file, tests in FILES.items() for mutant in mutants(file)]
    plants = {m.name: Plant(m.file, m.text, tests) for m, tests in one_in(every) if m.name not in EQUIVALENT}
    return plants, sorted(EQUIVALENT.keys() - {mutant.name for mutant, _ in every})


def together(asked: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return all tests that are asked for, once: those that are always asked for together stand together."""
    places: dict[str, set[int]] = {}
    for place, tests in enumerate(asked):
        for name in tests:
            places.setdefault(name, set()).add(place)
    found: dict[frozenset[int], list[str]] = {}
    for name, where in places.items():
        found.setdefault(frozenset(where), []).append(name)
    return [tuple(names) for names in found.values()]


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Judge every mutation; return the exit status."""
    start = time.perf_counter()
    table, (formulas, stale) = by_hand(), generated()
    at_once = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    seconds: dict[str, float] = {}
    parts = together([p.tests for p in (table | formulas).values()])
    for outcome in judge((Plant("", None, tests) for tests in parts), at_once):
        seconds |= dict.fromkeys(outcome.plant.tests[:1], outcome.cpu_seconds)
        if outcome.status:
            say(f"{' '.join(outcome.plant.tests)} fails without a bug:\n{outcome.output[-3000:]}")
            return 1
    plants = [
        replace(p, cpu_seconds=10 + 5 * sum(seconds.get(name, 0) for name in p.tests))
        for p in (table | formulas).values()
    ]
    names = dict(zip(map(id, plants), table | formulas, strict=True))
    survived = []
    for done, outcome in enumerate(judge(plants, at_once), 1):
        if outcome.status == 0:
            survived.append(names[id(outcome.plant)])
            say(f"SURVIVED {survived[-1]}")
        if done % 50 == 0:
            say(f"{done} of {len(plants)} bugs planted, {len(survived)} survived")
    for name in stale:
        say(f"NO SUCH MUTANT {name}")
    missed = f"{len(survived)} survived, {len(one_in(MUTATIONS)) - len(table)} left out on this CPU"
    known = f"{len(EQUIVALENT)} known to change nothing"
    say(f"{len(table)} bugs by hand, {len(formulas)} generated: {missed}, {known}; {time.perf_counter() - start:.0f} s")
    return 1 if survived or stale else 0


if __name__ == "__main__":
    sys.exit(main())
