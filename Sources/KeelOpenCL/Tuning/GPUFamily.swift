/// Whose GPU it is, as far as the planning functions ask: each starts from tiles of its own.
package enum GPUFamily: String, Hashable, Sendable, CaseIterable {
  case nvidia, amd, intel
  /// Any other maker, and what only plays a GPU.
  case other

  /// By what a driver says of its maker.
  package init(vendor: String) {
    let text = vendor.lowercased()
    let names: [(part: String, family: GPUFamily)] = [
      ("nvidia", .nvidia), ("advanced micro devices", .amd), ("intel", .intel),
    ]
    // AMD's drivers write either name; other makers have "amd" inside of theirs.
    let isAMD = text.split { !$0.isLetter }.contains("amd")
    self = names.first { text.contains($0.part) }?.family ?? (isAMD ? .amd : .other)
  }

  /// The tiles that Keel comes with, large ones first. `docs/tuning.md` gives the reasons; only
  /// `keel tune` on a device measures.
  package var tiles: [LocalTile] {
    switch self {
    case .nvidia: [.large, .tall, .middle, .narrowRows, .narrowColumns]
    case .amd: [.tall, .middle, .narrowRows, .narrowColumns]
    case .intel: [.middle, .narrowRows, .narrowColumns]
    case .other: [.init(64, 64, by: (16, 16), inner: 16), .narrowRows, .narrowColumns]
    }
  }
}

/// The tile of a result that a work-group makes in local memory, and the work-group.
package struct LocalTile: Hashable, Sendable {
  /// Rows and columns of the result (`TILE_ROWS`, `TILE_COLUMNS`).
  package let rows: Int
  package let columns: Int
  /// Work-items along both (`LANE_ROWS`, `LANE_COLUMNS`).
  package let laneRows: Int
  package let laneColumns: Int
  /// Steps of the inner axis that are in local memory at once (`TILE_INNER`), besides as many that
  /// are on their way.
  package let inner: Int

  fileprivate init(_ rows: Int, _ columns: Int, by lanes: (rows: Int, columns: Int), inner: Int) {
    (self.rows, self.columns, self.inner) = (rows, columns, inner)
    (laneRows, laneColumns) = (lanes.rows, lanes.columns)
  }

  /// Given choices; nil where the kernels cannot be built with them (`prelude_tiles.cl`).
  package init?(_ rows: Int, _ columns: Int, lanes: (rows: Int, columns: Int), inner: Int) {
    let group = lanes.rows * lanes.columns
    guard [8, 16].contains(lanes.rows), [8, 16].contains(lanes.columns),
      [8, 16, 32].contains(inner), (32...128).contains(rows), (32...128).contains(columns),
      rows % (4 * lanes.rows) == 0, columns % (4 * lanes.columns) == 0,
      group % (rows / 4) == 0, group % (columns / 4) == 0,
      rows * columns <= 64 * group
    else { return nil }
    self.init(rows, columns, by: lanes, inner: inner)
  }

  fileprivate static let large = LocalTile(128, 128, by: (16, 16), inner: 8)
  fileprivate static let tall = LocalTile(128, 64, by: (16, 16), inner: 16)
  fileprivate static let middle = LocalTile(64, 64, by: (8, 16), inner: 16)
  fileprivate static let narrowRows = LocalTile(32, 64, by: (8, 8), inner: 16)
  fileprivate static let narrowColumns = LocalTile(64, 32, by: (8, 8), inner: 16)

  /// Work-items of the group.
  package var group: Int { laneRows * laneColumns }

  /// Local memory of a work-group: two pairs of tiles, and the convolutions' tables.
  package var localBytes: Int { 4 * (2 * inner * (rows + columns) + 3 * rows + 8 * inner) }

  package func fits(_ limits: OpenCLLimits) -> Bool {
    group <= limits.maximumGroup && localBytes <= limits.localBytes
  }

  /// Work-groups for a result.
  func groups(_ rows: Int, _ columns: Int) -> Int {
    ceilDivide(rows, self.rows) * ceilDivide(columns, self.columns)
  }

  /// The first tile of the family that fills the device; where none does, the one that computes
  /// least beyond the result, of equals the smallest.
  ///
  /// - Parameter copies: results of this kind that are made at once.
  static func planned(rows: Int, columns: Int, copies: Int, limits: OpenCLLimits) -> LocalTile {
    let tiles = limits.family.tiles.filter { $0.fits(limits) }
    func area(_ tile: LocalTile) -> Int { tile.groups(rows, columns) * tile.rows * tile.columns }
    let least = tiles.map(area).min() ?? 0
    let filling = tiles.first {
      copies * $0.groups(rows, columns) >= limits.computeUnits && area($0) <= least * 3 / 2
    }
    let smallest = tiles.filter { area($0) == least }.min {
      $0.rows * $0.columns < $1.rows * $1.columns
    }
    return filling ?? smallest ?? .least
  }

  /// What every device can run.
  private static let least = LocalTile(32, 32, by: (8, 8), inner: 8)
}

extension LocalTile: CustomStringConvertible {
  package var description: String {
    "\(rows) x \(columns) in steps of \(inner) by \(laneRows) x \(laneColumns) work-items"
  }
}
