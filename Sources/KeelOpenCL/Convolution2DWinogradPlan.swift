package import KeelBackend

/// Whether Winograd's filtering (`convolution2d_winograd.cl`) computes a convolution or one of its
/// gradients, and with which tiles: a function of the extents and the class of device.
package struct Convolution2DWinogradPlan: Hashable, Sendable {
  /// Results along a side of a tile (`TILE_OUT`): 2 or 4.
  package let tileOut: Int
  /// Tiles of a slice, which are transformed, multiplied and transformed back before the next:
  /// their points then wait in a cache, and scratch memory stays small.
  package let slice: Int
  /// Tiles of a block that one work-item takes through all stages while their points are in its
  /// cache; 0 where the stages are launches of their own, slice by slice.
  package let block: Int
  /// The estimated time over that of the direct kernels.
  package let share: Double

  /// Points of a transformed tile along a side, and in all.
  package var points: Int { tileOut + 2 }
  package var allPoints: Int { points * points }

  /// The result of what is computed: images, their extents, the channels on both sides.
  package struct Extents: Hashable, Sendable {
    let images: Int
    let width: Int
    let height: Int
    let inner: Int
    let columns: Int
    let isFilterGradient: Bool

    /// Tiles along the width, and along the height.
    func tiles(_ tileOut: Int) -> SIMD2<Int32> {
      alongImage(width: ceilDivide(width, tileOut), height: ceilDivide(height, tileOut))
    }
    package func tileCount(_ tileOut: Int) -> Int {
      images * ceilDivide(width, tileOut) * ceilDivide(height, tileOut)
    }
  }

  package init(tileOut: Int, slice: Int, block: Int = 0) {
    precondition(tileOut == 2 || tileOut == 4)
    self.tileOut = tileOut
    self.slice = slice
    self.block = block
    share = 1
  }

  /// The plan with the lowest cost, or nil where the direct kernels cost less or the form is
  /// another than 3 x 3 taps with single steps.
  package init?(_ geometry: Convolution2DGeometry, _ extents: Extents, isCPUClass: Bool) {
    guard geometry.allowsMinimalFiltering, extents.inner > 0, extents.columns > 0,
      Self.width(extents.inner, isCPUClass) != nil, Self.width(extents.columns, isCPUClass) != nil
    else { return nil }
    // Of equal ones the smaller tile, which rounds less.
    let choices = [2, 4].map { (tileOut: $0, cost: Self.cost($0, extents, isCPUClass)) }
    let pixels = Double(extents.images * extents.width * extents.height)
    // A tenth must be gained: the direct kernels round less.
    let direct = 18 * pixels * Double(extents.inner * extents.columns)
    guard let best = choices.min(by: { $0.cost < $1.cost }), best.cost < 0.9 * direct else {
      return nil
    }
    tileOut = best.tileOut
    share = best.cost / direct
    let points = (tileOut + 2) * (tileOut + 2)
    var bytes = isCPUClass ? 8 << 20 : 256 << 20
    // The points of the filter are read once for each slice, those of its gradient written too.
    let passes = extents.isFilterGradient ? 4 : 1
    bytes = max(bytes, 4 * passes * points * extents.inner * extents.columns)
    let tileBytes = 4 * points * (extents.inner + extents.columns)
    let count = extents.tileCount(tileOut)
    let slices = ceilDivide(count, max(8, bytes / tileBytes))
    slice = ceilDivide(ceilDivide(count, slices), 8) * 8
    // A part of the filter's gradient has sums of its own: they must be fewer than the points that
    // blocks keep out of memory, and there must be enough parts for all cores.
    let pairs = extents.inner * extents.columns
    let gains =
      extents.isFilterGradient ? pairs <= 1 << 14 && count >= 512 : pairs <= 1 << 16
    block = Self.worksInBlocks(extents, isCPUClass) && gains ? Self.block(tileOut, extents) : 0
  }

  /// Whether blocks of tiles can go through all stages in one launch.
  package static func worksInBlocks(_ extents: Extents, _ isCPUClass: Bool) -> Bool {
    isCPUClass && extents.inner % 16 == 0 && extents.columns % 16 == 0
  }

  /// Parts of the tiles in which the filter's gradient is summed, block by block: a function of the
  /// extents, as the order of its sums is.
  package func parts(_ extents: Extents) -> Int {
    ceilDivide(extents.tileCount(tileOut), partTiles(extents))
  }

  /// Tiles of a part: whole blocks.
  package func partTiles(_ extents: Extents) -> Int {
    let count = extents.tileCount(tileOut)
    let parts = max(1, min(16, count / 256))
    return max(1, ceilDivide(ceilDivide(count, parts), max(1, block))) * max(1, block)
  }

  /// Tiles whose points fill half of a second cache: the points of the filter pass through the
  /// rest. In its gradient the sums do, which are many more.
  package static func block(_ tileOut: Int, _ extents: Extents) -> Int {
    if extents.isFilterGradient { return 16 }
    let tileBytes = 4 * (tileOut + 2) * (tileOut + 2) * (extents.inner + 32)
    return max(8, min(24, (512 << 10) / tileBytes / 8 * 8))
  }

  /// Floating-point operations, and what moving the points costs, in the time of one operation.
  private static func cost(_ tileOut: Int, _ extents: Extents, _ isCPUClass: Bool) -> Double {
    // Operations in the time that a float takes to be transformed and moved, measured on CPUs;
    // GPUs have more arithmetic for their bandwidth.
    let perFloat: Double = isCPUClass ? 32 : 80
    let points = Double((tileOut + 2) * (tileOut + 2))
    let tiles = Double(extents.tileCount(tileOut))
    let (inner, columns) = (Double(extents.inner), Double(extents.columns))
    return 2 * points * tiles * inner * columns
      + perFloat * points * (2 * tiles * (inner + columns) + 2 * inner * columns)
  }

  /// Channels of a vector (`KEEL_WIDTH`): they must divide the channels; nil where none does.
  package static func width(_ channels: Int, _ isCPUClass: Bool) -> Int? {
    if !isCPUClass { return 1 }
    return [16, 4].first { channels % $0 == 0 }
  }
}

extension Convolution2DGeometry {
  /// What the three directions compute, as Winograd's filtering sees it.
  package func winogradExtents(_ direction: Convolution2DDirection)
    -> Convolution2DWinogradPlan.Extents
  {
    let isInput = direction == .inputGradient
    return Convolution2DWinogradPlan.Extents(
      images: batch, width: isInput ? width : outWidth, height: isInput ? height : outHeight,
      inner: isInput ? outChannels : inChannels, columns: isInput ? inChannels : outChannels,
      isFilterGradient: direction == .filterGradient)
  }
}
