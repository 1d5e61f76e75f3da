/// The work-items of a launch: how many, and how many of them form a group.
package struct Grid: Sendable, Hashable {
  /// Groups along each axis.
  package let groups: SIMD3<Int>
  /// Work-items of a group along each axis.
  package let local: SIMD3<Int>

  package init(groups: SIMD3<Int>, local: SIMD3<Int>) {
    precondition(local.min() > 0)
    self.groups = groups
    self.local = local
  }

  /// All work-items; nothing is launched if there are none.
  package var global: SIMD3<Int> { groups &* local }
  package var isEmpty: Bool { groups.min() <= 0 }

  /// At least `x` work-items, in whole groups: the kernel guards its bounds.
  package static func items(_ x: Int, local: Int) -> Grid {
    Grid(groups: SIMD3(ceilDivide(x, local), 1, 1), local: SIMD3(local, 1, 1))
  }

  /// At least `x` by `y` work-items, in whole groups.
  package static func items(_ x: Int, _ y: Int, local: (Int, Int)) -> Grid {
    items(x, y, 1, local: (local.0, local.1, 1))
  }

  /// At least `x` by `y` by `z` work-items, in whole groups.
  package static func items(_ x: Int, _ y: Int, _ z: Int, local: (Int, Int, Int)) -> Grid {
    Grid(
      groups: SIMD3(ceilDivide(x, local.0), ceilDivide(y, local.1), ceilDivide(z, local.2)),
      local: SIMD3(local.0, local.1, local.2))
  }

  /// `count` groups of `local` work-items.
  package static func groups(_ count: Int, of local: Int) -> Grid {
    Grid(groups: SIMD3(count, 1, 1), local: SIMD3(local, 1, 1))
  }

  /// `x` by `y` by `z` groups.
  package static func groups(
    _ x: Int, _ y: Int, _ z: Int = 1, of local: (Int, Int, Int)
  ) -> Grid {
    Grid(groups: SIMD3(x, y, z), local: SIMD3(local.0, local.1, local.2))
  }

  /// Groups of one work-item each: few and big, as CPU-class devices like them.
  package static func tiles(_ x: Int, _ y: Int = 1, _ z: Int = 1) -> Grid {
    Grid(groups: SIMD3(x, y, z), local: SIMD3(1, 1, 1))
  }
}

/// The smallest whole number not below a / b.
@inline(__always)
package func ceilDivide(_ a: Int, _ b: Int) -> Int { (a + b - 1) / b }
