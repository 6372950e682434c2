"""The definitions of the merging methods in plain NumPy, on whole tensors: what wtool's methods are held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from wtool.dtypes import Array

Tensors = Sequence[Array]


def count(share: float, size: int) -> int:
    return int(Fraction(str(share)) * size)


def sparse_by_rank(vector: Array, first: int, stop: int) -> Array:
    """The values with the ranks [first, stop) of their magnitudes, the earlier of equal ones being lower."""
    flat = vector.reshape(-1)
    kept = np.zeros(flat.shape)
    places = np.argsort(np.abs(flat), kind="stable")[first:stop]
    kept[places] = flat[places]
    return kept.reshape(vector.shape)


def trimmed(vector: Array, density: float) -> Array:
    size = vector.size
    if density >= 1:
        return vector
    return sparse_by_rank(vector, size - (max(1, count(density, size)) if density > 0 else 0), size)


def crumbs(vector: Array, density: float, gamma: float) -> Array:
    size = vector.size
    if density >= 1:
        return vector
    kept = max(1, count(density, size)) if density > 0 else 0
    first = max(0, size - kept - count(gamma, size))
    return sparse_by_rank(vector, first, first + kept)


def added(
    base: Array, vectors: Tensors, weights: Sequence[float], consensus: bool, normalize: bool, scale: float
) -> Array:
    terms = [weight * vector for weight, vector in zip(weights, vectors, strict=True)]
    total = sum(terms)
    if consensus:
        sign = np.where(np.isclose(total, 0, atol=1e-15 * max(np.abs(terms).max(), 1e-300)), 1, np.sign(total))
        agree = [np.sign(term) == sign for term in terms]
        number = sum(term * mask for term, mask in zip(terms, agree, strict=True))
        divisor = sum(weight * mask for weight, mask in zip(weights, agree, strict=True))
        divisor = np.where(divisor == 0, 1, divisor)
    else:
        number, divisor = total, sum(weights)
        divisor = 1 if abs(divisor) < 1e-8 else divisor
    return base + scale * (number / divisor if normalize else number)


def arc(first: Array, second: Array, t: float, limit: Callable[[float], bool], least: float) -> Array:
    lengths = [np.linalg.norm(each) for each in (first, second)]
    units = [each / (length if length > least else 1) for each, length in zip((first, second), lengths, strict=True)]
    cosine = float((units[0] * units[1]).sum())
    if limit(cosine):
        return (1 - t) * first + t * second
    angle = np.arccos(np.clip(cosine, -1, 1))
    return (np.sin((1 - t) * angle) * first + np.sin(t * angle) * second) / np.sin(angle)


def rows(array: Array, axes: tuple[int, ...]) -> Array:
    """The output units one below the other, shape (units, values)."""
    front = np.moveaxis(array, axes, range(len(axes)))
    return front.reshape(int(np.prod([array.shape[axis] for axis in axes])), -1)


def from_rows(values: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    order = [*axes, *(axis for axis in range(len(shape)) if axis not in axes)]
    return np.moveaxis(values.reshape([shape[axis] for axis in order]), range(len(axes)), axes)


def by_unit(function: Callable[..., Array], axes: tuple[int, ...], *tensors: Array) -> Array:
    cut = [rows(each, axes) for each in tensors]
    units = [function(*(each[unit] for each in cut)) for unit in range(len(cut[0]))]
    return from_rows(np.stack(units), tensors[0].shape, axes)


def nuslerp(base: Array | None, models: Tensors, options: dict[str, Any], axes: tuple[int, ...]) -> Array:
    weights = options.get("weight", [1, 1])
    t = weights[1] / sum(weights)

    def one(first: Array, second: Array) -> Array:
        return arc(first, second, t, lambda cosine: 1 - cosine**2 <= 1e-16, 1e-7)

    vectors = [each - base for each in models] if base is not None else list(models)
    merged = by_unit(one, axes, *vectors) if options.get("rows") and axes else one(*vectors)
    return merged if base is None else base + merged


def multislerp(base: Array | None, models: Tensors, weights: Sequence[float]) -> Array:
    """The whole definition of mergekit, with the step along the tangents."""
    share = np.array(weights) / np.sum(weights)
    vectors = [each - base for each in models] if base is not None else list(models)
    lengths = [np.linalg.norm(each) for each in vectors]
    if base is not None and not any(lengths):
        return base
    if vectors[0].size == 1:
        return (0 if base is None else base) + sum(w * each for w, each in zip(share, vectors, strict=True))
    units = [each / (length + 1e-8) for each, length in zip(vectors, lengths, strict=True)]
    mean = sum(w * u for w, u in zip(share, units, strict=True))
    mean = mean / np.linalg.norm(mean)
    tangent = sum(w * (u - (u * mean).sum() * mean) for w, u in zip(share, units, strict=True))
    size = np.linalg.norm(tangent)
    point = mean * np.cos(size) + (tangent * np.sin(size) / size if size > 1e-12 else 0)
    merged = point * sum(w * length for w, length in zip(share, lengths, strict=True))
    return merged if base is None else base + merged


def karcher(models: Tensors, most: int, tolerance: float) -> Array:
    if models[0].size == 1:
        return np.asarray(np.mean(models, axis=0))
    lengths = [float(np.linalg.norm(each)) for each in models]
    units = [each / length for each, length in zip(models, lengths, strict=True) if length > tolerance]
    mean = sum(units) / np.linalg.norm(sum(units))
    for _ in range(most):
        tangent = np.zeros(mean.shape)
        for unit in units:
            cosine = float(np.clip((mean * unit).sum(), -1, 1))
            angle = np.arccos(cosine)
            if angle >= tolerance:
                tangent = tangent + angle / np.sin(angle) * (unit - cosine * mean) / len(units)
        size = float(np.linalg.norm(tangent))
        if size < tolerance:
            break
        mean = np.cos(size) * mean + np.sin(size) / size * tangent
    return np.asarray(mean * np.mean(lengths))


def model_stock(base: Array, models: Tensors, axes: tuple[int, ...] = ()) -> Array:
    def one(base: Array, *models: Array) -> Array:
        vectors = [each - base for each in models]
        cosines = []
        for left, right in combinations(vectors, 2):
            size = np.linalg.norm(left) * np.linalg.norm(right)
            cosines.append((left * right).sum() / size if size > 0 else 0.0)
        cosine, number = max(0.0, float(np.mean(cosines))), len(models)
        t = number * cosine / (1 + (number - 1) * cosine)
        return np.asarray(t * np.mean(models, axis=0) + (1 - t) * base)

    return by_unit(one, axes, base, *models) if axes else one(base, *models)


def sce(base: Array, models: Tensors, share: float) -> Array:
    vectors = np.stack([each - base for each in models])
    if share < 1:
        variance = np.var(np.stack(models), axis=0)
        variance[np.all([each == models[0] for each in models], axis=0)] = 0
        size = variance.size
        chosen = count(share, np.count_nonzero(variance))
        kept = np.zeros(size)
        kept[np.argsort(variance.reshape(-1), kind="stable")[size - chosen :]] = 1
        vectors = vectors * kept.reshape(base.shape)
    energies = np.array([np.mean(each**2) for each in vectors])
    weights = energies / energies.sum() if energies.sum() else np.full(len(models), 1 / len(models))
    sign = np.where(vectors.sum(axis=0) >= 0, 1, -1)
    agree = np.sign(vectors) == sign
    weights = weights.reshape(-1, *[1] * base.ndim)
    return np.asarray(base + (weights * agree * vectors).sum(axis=0) / np.maximum((weights * agree).sum(axis=0), 1e-6))


def merged(method: str, base: Array | None, models: Tensors, axes: tuple[int, ...] = (), **options: Any) -> Array:
    """Returns the merge of a tensor in float64, by the definition; for methods that draw nothing."""
    models = [each.astype(np.float64) for each in models]
    base = None if base is None else base.astype(np.float64)
    weights = np.broadcast_to(options.get("weight", 1.0), len(models)).tolist()
    densities = np.broadcast_to(options.get("density", 1.0), len(models)).tolist()
    scale = options.get("lambda", 1.0)
    if method == "linear":
        total = sum(w * m for w, m in zip(weights, models, strict=True))
        return np.asarray(total / sum(weights) if options.get("normalize", True) else total)
    if method == "nuslerp":
        return nuslerp(base, models, options, axes)
    if method == "multislerp":
        return multislerp(base, models, weights)
    if method == "karcher":
        return karcher(models, options.get("max_iterations", 10), options.get("tolerance", 1e-5))
    assert base is not None
    vectors = [each - base for each in models]
    match method:
        case "ties" | "dare-ties" | "della":
            sparse = [trimmed(each, density) for each, density in zip(vectors, densities, strict=True)]
            normalize = options.get("normalize", method != "dare-ties")
            return added(base, sparse, weights, True, normalize, scale)
        case "task-arithmetic" | "dare-linear" | "della-linear":
            return added(base, vectors, weights, False, options.get("normalize", False), scale)
        case "breadcrumbs" | "breadcrumbs-ties":
            gamma = options.get("gamma", 0.01)
            sparse = [crumbs(each, density, gamma) for each, density in zip(vectors, densities, strict=True)]
            return added(base, sparse, weights, method.endswith("ties"), options.get("normalize", False), scale)
        case "sce":
            return sce(base, models, options.get("select_topk", 1.0))
        case "model-stock":
            return model_stock(base, models, axes if options.get("filter_wise") else ())
        case "slerp":
            return arc(base, models[0], options["t"], lambda cosine: abs(cosine) > 0.9995, 1e-8)
        case "nearswap":
            share = np.clip(options["t"] / np.maximum(np.abs(vectors[0]), 1e-6), 0, 1)
            return np.asarray(share * models[0] + (1 - share) * base)
        case "wise-ft":
            t = options.get("t", 0.5)
            return np.asarray((1 - t) * base + t * models[0])
    raise AssertionError(method)
