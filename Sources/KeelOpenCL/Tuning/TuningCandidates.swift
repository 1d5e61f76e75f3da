package import KeelBackend

/// The plans that are tried for a subject, in rounds: each round varies one part of the best plan
/// so far, so that their number is a sum and not a product.
package struct TuningCandidates {
  private let subject: TuningSubject
  private let isCPUClass: Bool
  private let limits: OpenCLLimits

  package init(_ subject: TuningSubject, isCPUClass: Bool, limits: OpenCLLimits) {
    self.subject = subject
    self.isCPUClass = isCPUClass
    self.limits = limits
  }

  package var formula: TunedPlan {
    .formula(subject, isCPUClass: isCPUClass, limits: limits)
  }

  package static let rounds = 3

  /// The plans of a round that can compute the subject, without the best so far.
  package func round(_ index: Int, best: TunedPlan) -> [TunedPlan] {
    let plans: [TunedPlan]
    switch (subject, best) {
    case (.matmul(let geometry), .matmul(.tiles(let best))):
      plans = tiles(index, best, geometry).map { .matmul(.tiles($0)) }
    case (.matmul(let geometry), .matmul(let best)) where isCPUClass:
      plans = whole(index, best, geometry).map { .matmul($0) }
    case (.matmul, .matmul(.local(let best))):
      plans = local(index, best).map { .matmul(.local($0)) }
    case (.convolution2D(let geometry, let direction), .convolution2D(let best)):
      plans = convolution(index, best, geometry.winogradExtents(direction)).map {
        .convolution2D($0)
      }
    default: plans = []
    }
    var seen: Set<TunedPlan> = [best]
    return plans.filter {
      $0.computes(subject, isCPUClass: isCPUClass, limits: limits) && seen.insert($0).inserted
    }
  }

  /// The tile, no larger than the result, then which operands are packed, then the order of tiles
  /// and the parts of the inner axis. The tile first: it gains most, and a gain by packing that
  /// comes and goes with the noise would decide which tiles are tried.
  private func tiles(
    _ round: Int, _ best: MatmulTiles, _ geometry: MatmulGeometry
  ) -> [MatmulTiles] {
    func tiles(
      rows: Int? = nil, vectors: Int? = nil, left: Bool? = nil, right: Bool? = nil,
      parts: Int? = nil, columnsFirst: Bool? = nil
    ) -> MatmulTiles {
      MatmulTiles(
        rows: rows ?? best.rows, vectors: vectors ?? best.vectors,
        packsLeft: left ?? best.packsLeft, packsRight: right ?? best.packsRight,
        parts: parts ?? best.splits, columnsFirst: columnsFirst ?? best.columnsFirst
      ).fitted(to: geometry)
    }
    switch round {
    case 0:
      return [4, 6, 8, 12].filter { $0 <= max(4, geometry.rows) }.flatMap { rows in
        [1, 2, 3].filter { 16 * ($0 - 1) < geometry.columns }.map {
          tiles(rows: rows, vectors: $0)
        }
      }
    case 1:
      return [(false, false), (false, true), (true, false), (true, true)].map {
        tiles(left: $0, right: $1)
      }
    default:
      let parts = geometry.inner < 256 ? [] : [1, 4, 2 * best.splits].map { tiles(parts: $0) }
      return [tiles(columnsFirst: !best.columnsFirst)] + parts
    }
  }

  /// Where the formula names neither tiles nor local memory: its parts of the inner axis, then the
  /// tiles that it would name otherwise.
  private func whole(
    _ round: Int, _ best: MatmulPlan, _ geometry: MatmulGeometry
  ) -> [MatmulPlan] {
    switch (round, best) {
    case (0, .blocks(let best)):
      return [best.parts / 2, best.parts * 2].filter { $0 > 0 }.map {
        .blocks(MatmulBlocks(rows: best.rows, vectors: best.vectors, parts: $0))
      }
    case (1, _): return [.tiles(MatmulTiles(geometry))]
    default: return []
    }
  }

  /// The tile and its work-group, then the steps along the inner axis, then its parts.
  private func local(_ round: Int, _ best: LocalTiles) -> [LocalTiles] {
    switch round {
    case 0:
      tiles(inner: best.tile.inner).compactMap { LocalTiles($0, splits: best.splits) }
    case 1:
      steps(best.tile).compactMap { LocalTiles($0, splits: best.splits) }
    default:
      [1, best.splits / 4, best.splits / 2, best.splits * 2, best.splits * 4].compactMap {
        LocalTiles(best.tile, splits: max(1, $0))
      }
    }
  }

  /// From 64 sums of each of 256 work-items down to 16 of each of 64.
  private func tiles(inner: Int) -> [LocalTile] {
    [
      (128, 128, 16, 16), (128, 64, 16, 16), (64, 128, 16, 16), (128, 64, 16, 8),
      (64, 128, 8, 16), (64, 64, 16, 16), (64, 64, 8, 16), (64, 64, 8, 8), (32, 64, 8, 8),
      (64, 32, 8, 8), (32, 32, 8, 8),
    ].compactMap { rows, columns, laneRows, laneColumns in
      LocalTile(rows, columns, lanes: (laneRows, laneColumns), inner: inner)
    }
  }

  private func steps(_ tile: LocalTile) -> [LocalTile] {
    [8, 16, 32].compactMap {
      LocalTile(tile.rows, tile.columns, lanes: (tile.laneRows, tile.laneColumns), inner: $0)
    }
  }

  /// The kernels, with the tiles of some; then the steps of those, or the slices of Winograd's.
  private func convolution(
    _ round: Int, _ best: Convolution2DPlan, _ extents: Convolution2DWinogradPlan.Extents
  ) -> [Convolution2DPlan] {
    func winograd(_ tileOut: Int, slice: Int) -> Convolution2DPlan {
      let all = extents.tileCount(tileOut)
      return .winograd(
        Convolution2DWinogradPlan(tileOut: tileOut, slice: max(1, min(slice / 8 * 8, all))))
    }
    switch (round, best) {
    case (0, _):
      let bytes = isCPUClass ? 8 << 20 : 256 << 20
      let sliced = [2, 4].map { tileOut in
        let points = (tileOut + 2) * (tileOut + 2)
        let tileBytes = 4 * points * (extents.inner + extents.columns)
        return winograd(tileOut, slice: max(8, bytes / max(1, tileBytes)))
      }
      let blocks = [2, 4].map { tileOut in
        Convolution2DPlan.winograd(
          Convolution2DWinogradPlan(
            tileOut: tileOut, slice: 8,
            block: Convolution2DWinogradPlan.block(tileOut, extents)))
      }
      let local = tiles(inner: 16).map { Convolution2DPlan.local($0) }
      return [.groups, .product, .tiles, .local(nil)] + local + sliced + blocks
    case (1, .local(let tile?)): return steps(tile).map { .local($0) }
    case (1, .winograd(let plan)) where plan.block > 0:
      return [8, 16, 24, 32, 48].filter { $0 != plan.block }.map {
        .winograd(Convolution2DWinogradPlan(tileOut: plan.tileOut, slice: 8, block: $0))
      }
    case (1, .winograd(let plan)):
      return [plan.slice / 4, plan.slice / 2, plan.slice * 2, plan.slice * 4].map {
        winograd(plan.tileOut, slice: max(8, $0))
      }
    default: return []
    }
  }
}

extension TuningSubject {
  /// The shapes that are tuned where none is named: those of the digits network, of recurrent
  /// layers, of the networks in the benchmarks, and squares.
  package static let standard: [TuningSubject] = products + convolutions

  private static let products: [TuningSubject] = [
    MatmulGeometry(rows: 64, inner: 784, columns: 128),
    MatmulGeometry(rows: 784, inner: 64, columns: 128, transposeLeft: true),
    MatmulGeometry(rows: 64, inner: 128, columns: 784, transposeRight: true),
    MatmulGeometry(rows: 64, inner: 128, columns: 10),
    MatmulGeometry(rows: 128, inner: 64, columns: 10, transposeLeft: true),
    MatmulGeometry(rows: 64, inner: 10, columns: 128, transposeRight: true),
    MatmulGeometry(rows: 128, inner: 128, columns: 512),
    MatmulGeometry(rows: 128, inner: 512, columns: 128, transposeRight: true),
    MatmulGeometry(rows: 3584, inner: 128, columns: 512),
    MatmulGeometry(rows: 128, inner: 1152, columns: 256),
    MatmulGeometry(rows: 512, inner: 512, columns: 512),
    MatmulGeometry(rows: 1000, inner: 1000, columns: 1000),
    MatmulGeometry(batch: 36, rows: 448, inner: 64, columns: 64),
    MatmulGeometry(batch: 36, rows: 64, inner: 448, columns: 64, transposeLeft: true),
  ].map { .matmul($0) }

  private static let convolutions: [TuningSubject] = [
    image(64, 28, 1, 32, padding: 0), image(64, 32, 64, 64), image(64, 16, 128, 128),
    image(64, 8, 256, 256), image(64, 4, 512, 512), image(64, 32, 64, 128, stride: 2),
    image(64, 16, 128, 256, taps: 1, padding: 0), image(32, 32, 24, 12),
  ].flatMap { geometry in Convolution2DDirection.allCases.map { .convolution2D(geometry, $0) } }

  private static func image(
    _ batch: Int, _ side: Int, _ inChannels: Int, _ outChannels: Int, taps: Int = 3,
    stride: Int = 1, padding: Int = 1
  ) -> Convolution2DGeometry {
    Convolution2DGeometry(
      batch: batch, height: side, width: side, inChannels: inChannels, outChannels: outChannels,
      kernel: (taps, taps), stride: (stride, stride),
      padding: (padding, padding, padding, padding))
  }
}

extension MatmulGeometry {
  /// Such as `64x784x128`, an apostrophe after the rows or columns of a transposed operand.
  package init?(shapeText text: String) {
    let parts = text.split(separator: "x", omittingEmptySubsequences: false)
    let extents = parts.map { part in Int(part.hasSuffix("'") ? part.dropLast() : part) }
    let numbers = extents.compactMap { $0 }.filter { (1...65536).contains($0) }
    guard parts.count == 3, numbers.count == 3, !parts[1].hasSuffix("'") else { return nil }
    self.init(
      rows: numbers[0], inner: numbers[1], columns: numbers[2],
      transposeLeft: parts[0].hasSuffix("'"), transposeRight: parts[2].hasSuffix("'"))
  }
}
