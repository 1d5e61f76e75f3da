package import KeelBackend

/// A choice of kernels as a file holds it: a name and numbers.
package struct PlanParameters: Hashable, Sendable, Codable {
  package var kernel: String
  package var parameters: [String: Int]

  package init(_ kernel: String, _ parameters: [String: Int] = [:]) {
    self.kernel = kernel
    self.parameters = parameters
  }

  subscript(name: String) -> Int? { parameters[name] }
}

/// What a planning function may choose for an operation.
package enum TunedPlan: Hashable, Sendable {
  case matmul(MatmulPlan)
  case convolution2D(Convolution2DPlan)

  /// Nil if this program has no such kernels.
  package init?(_ parameters: PlanParameters, of operation: OperationName) {
    switch operation {
    case .matmul:
      guard let plan = MatmulPlan(parameters) else { return nil }
      self = .matmul(plan)
    case .convolution2D:
      guard let plan = Convolution2DPlan(parameters) else { return nil }
      self = .convolution2D(plan)
    default: return nil
    }
  }

  package var parameters: PlanParameters {
    switch self {
    case .matmul(let plan): plan.parameters
    case .convolution2D(let plan): plan.parameters
    }
  }

  /// What the planning function says without a database.
  package static func formula(
    _ subject: TuningSubject, isCPUClass: Bool, limits: OpenCLLimits
  ) -> TunedPlan {
    switch subject {
    case .matmul(let geometry):
      .matmul(MatmulPlan(geometry, isCPUClass: isCPUClass, limits: limits))
    case .convolution2D(let geometry, let direction):
      .convolution2D(Convolution2DPlan(geometry, direction, isCPUClass: isCPUClass))
    }
  }

  /// Whether the plan can compute the subject on such a device.
  package func computes(
    _ subject: TuningSubject, isCPUClass: Bool, limits: OpenCLLimits
  ) -> Bool {
    switch (self, subject) {
    case (.matmul(let plan), .matmul(let geometry)):
      plan.computes(geometry, isCPUClass: isCPUClass, limits: limits)
    case (.convolution2D(let plan), .convolution2D(let geometry, let direction)):
      plan.computes(geometry, direction, isCPUClass: isCPUClass, limits: limits)
    default: false
    }
  }
}

extension TunedPlan: CustomStringConvertible {
  package var description: String {
    switch self {
    case .matmul(let plan): "\(plan)"
    case .convolution2D(let plan): "\(plan)"
    }
  }
}

extension LocalTile {
  fileprivate init?(_ form: PlanParameters) {
    guard let rows = form["rows"], let columns = form["columns"],
      let laneRows = form["laneRows"], let laneColumns = form["laneColumns"],
      let inner = form["inner"]
    else { return nil }
    self.init(rows, columns, lanes: (laneRows, laneColumns), inner: inner)
  }

  fileprivate var parameters: [String: Int] {
    [
      "rows": rows, "columns": columns, "laneRows": laneRows, "laneColumns": laneColumns,
      "inner": inner,
    ]
  }
}

extension MatmulPlan {
  init?(_ form: PlanParameters) {
    switch form.kernel {
    case "register tiles":
      guard let rows = form["rows"], (1...16).contains(rows), let vectors = form["vectors"],
        (1...3).contains(vectors), let left = form["packsLeft"], let right = form["packsRight"],
        let parts = form["parts"], (1...1024).contains(parts),
        let columnsFirst = form["columnsFirst"]
      else { return nil }
      self = .tiles(
        MatmulTiles(
          rows: rows, vectors: vectors, packsLeft: left != 0, packsRight: right != 0, parts: parts,
          columnsFirst: columnsFirst != 0))
    case "rows": self = .rows
    case "blocks":
      guard let rows = form["rows"], (1...8).contains(rows), let vectors = form["vectors"],
        (1...3).contains(vectors), let parts = form["parts"], (1...1024).contains(parts)
      else { return nil }
      self = .blocks(MatmulBlocks(rows: rows, vectors: vectors, parts: parts))
    case "local tiles":
      guard let splits = form["splits"], let plan = LocalTiles(LocalTile(form), splits: splits)
      else { return nil }
      self = .local(plan)
    default: return nil
    }
  }

  var parameters: PlanParameters {
    switch self {
    case .tiles(let plan):
      PlanParameters(
        "register tiles",
        [
          "rows": plan.rows, "vectors": plan.vectors, "packsLeft": plan.packsLeft ? 1 : 0,
          "packsRight": plan.packsRight ? 1 : 0, "parts": plan.splits,
          "columnsFirst": plan.columnsFirst ? 1 : 0,
        ])
    case .rows: PlanParameters("rows")
    case .blocks(let plan):
      PlanParameters(
        "blocks", ["rows": plan.rows, "vectors": plan.vectors, "parts": plan.parts])
    case .local(let plan):
      PlanParameters(
        "local tiles",
        plan.tile.parameters.merging(["splits": plan.splits]) { first, _ in first })
    }
  }

  func computes(_ geometry: MatmulGeometry, isCPUClass: Bool, limits: OpenCLLimits) -> Bool {
    switch self {
    case .tiles(let plan): isCPUClass && plan.computes(geometry)
    case .rows: isCPUClass && MatmulRows.computes(geometry)
    case .blocks(let plan): isCPUClass && plan.computes(geometry, limits: limits)
    case .local(let plan):
      !isCPUClass && plan.tile.fits(limits) && plan.splits <= max(1, geometry.inner)
    }
  }
}

extension Convolution2DPlan {
  init?(_ form: PlanParameters) {
    switch form.kernel {
    case "groups": self = .groups
    case "product": self = .product
    case "register tiles": self = .tiles
    case "local tiles":
      if form.parameters.isEmpty {
        self = .local(nil)
      } else {
        guard let tile = LocalTile(form) else { return nil }
        self = .local(tile)
      }
    case "winograd":
      guard let tileOut = form["tileOut"], tileOut == 2 || tileOut == 4,
        let slice = form["slice"], (1...(1 << 24)).contains(slice), let block = form["block"],
        (0...1024).contains(block), block % 8 == 0
      else { return nil }
      self = .winograd(Convolution2DWinogradPlan(tileOut: tileOut, slice: slice, block: block))
    default: return nil
    }
  }

  var parameters: PlanParameters {
    switch self {
    case .groups: PlanParameters("groups")
    case .product: PlanParameters("product")
    case .tiles: PlanParameters("register tiles")
    case .local(let tile): PlanParameters("local tiles", tile?.parameters ?? [:])
    case .winograd(let plan):
      PlanParameters(
        "winograd", ["tileOut": plan.tileOut, "slice": plan.slice, "block": plan.block])
    }
  }

  func computes(
    _ geometry: Convolution2DGeometry, _ direction: Convolution2DDirection, isCPUClass: Bool,
    limits: OpenCLLimits
  ) -> Bool {
    switch self {
    case .groups: return geometry.groups > 1
    case .product: return geometry.isProduct
    case .tiles: return isCPUClass
    case .local(let tile): return !isCPUClass && tile?.fits(limits) ?? true
    case .winograd(let plan):
      let extents = geometry.winogradExtents(direction)
      return geometry.allowsMinimalFiltering && extents.inner > 0 && extents.columns > 0
        && Convolution2DWinogradPlan.width(extents.inner, isCPUClass) != nil
        && Convolution2DWinogradPlan.width(extents.columns, isCPUClass) != nil
        && (plan.block == 0 || Convolution2DWinogradPlan.worksInBlocks(extents, isCPUClass))
    }
  }
}
