import KeelBackend
import KeelData
import Testing

/// Known answers of each step on tiny images.
@Suite struct AugmentationStepTests {
  /// 1 2 3
  /// 4 5 6
  /// 7 8 9
  private static let square: [Float] = [1, 2, 3, 4, 5, 6, 7, 8, 9]

  private static func image(
    _ values: [Float] = square, height: Int = 3, width: Int = 3, channels: Int = 1
  ) -> WorkingImage {
    var image = WorkingImage(shape: [height, width, channels], white: 1)
    var values = values
    values.withUnsafeMutableBufferPointer { image.load($0) }
    return image
  }

  private static func changed(
    _ image: WorkingImage = image(), _ body: (inout WorkingImage) -> Void
  ) -> [Double] {
    var image = image
    body(&image)
    return image.pixels
  }

  @Test func shiftsMoveByWholePixels() {
    typealias Border = Augmentation.Border
    func shifted(_ columns: Int, _ rows: Int, _ border: Border) -> [Double] {
      Self.changed { $0.shift(columns: columns, rows: rows, border) }
    }
    #expect(shifted(1, 0, .zero) == [0, 1, 2, 0, 4, 5, 0, 7, 8])
    #expect(shifted(0, -1, .zero) == [4, 5, 6, 7, 8, 9, 0, 0, 0])
    #expect(shifted(1, 1, .edge) == [1, 1, 2, 1, 1, 2, 4, 4, 5])
    #expect(shifted(-1, 0, .reflect) == [2, 3, 2, 5, 6, 5, 8, 9, 8])
    #expect(shifted(5, -7, .edge) == Array(repeating: 7, count: 9))
  }

  @Test func borderLinesAreCountedToAndFro() {
    let reflected = (-5...6).map { Augmentation.Border.reflect.inside($0, of: 3) }
    #expect(reflected == [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2])
    #expect((-2...2).map { Augmentation.Border.reflect.inside($0, of: 1) } == [0, 0, 0, 0, 0])
    #expect([-1, 3, 1].map { Augmentation.Border.zero.inside($0, of: 3) } == [nil, nil, 1])
    #expect([-9, 9, 1].map { Augmentation.Border.edge.inside($0, of: 3) } == [0, 2, 1])
  }

  @Test func flipsMirrorAndTwiceIsNothing() {
    #expect(Self.changed { $0.flip(.horizontal) } == [3, 2, 1, 6, 5, 4, 9, 8, 7])
    #expect(Self.changed { $0.flip(.vertical) } == [7, 8, 9, 4, 5, 6, 1, 2, 3])
    for mirror in Augmentation.Mirror.allCases {
      let twice = Self.changed {
        $0.flip(mirror)
        $0.flip(mirror)
      }
      #expect(twice == Self.square.map(Double.init))
    }
    // Channels stay together.
    let colours = Self.image([1, 2, 3, 4, 5, 6], height: 1, width: 2, channels: 3)
    #expect(Self.changed(colours) { $0.flip(.horizontal) } == [4, 5, 6, 1, 2, 3])
  }

  @Test func quarterTurnsAreExactAndCounterClockwise() {
    func turned(_ degrees: Double) -> [Double] {
      Self.changed { $0.rotate(degrees: degrees, .zero) }
    }
    #expect(turned(90) == [3, 6, 9, 2, 5, 8, 1, 4, 7])
    #expect(turned(-90) == [7, 4, 1, 8, 5, 2, 9, 6, 3])
    #expect(turned(180) == [9, 8, 7, 6, 5, 4, 3, 2, 1])
    // A turn by 45 degrees: the middle stays, each edge's middle lands between others.
    let slanted = turned(45)
    #expect(abs(slanted[4] - 5) < 1e-14)
    // The pixel above the middle came from one step to the upper right: a mean of 2, 3, 5, 6.
    let away = 0.5.squareRoot()
    let expected =
      (1 - away) * (1 - away) * 5 + away * (1 - away) * (2 + 6) + away * away * 3
    #expect(abs(slanted[1] - expected) < 1e-12)
  }

  @Test func zoomKeepsTheMiddle() {
    let doubled = Self.changed { $0.zoom(factor: 2, .zero) }
    #expect(doubled == [3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7])
    let halved = Self.changed { $0.zoom(factor: 0.5, .zero) }
    #expect(halved == [0, 0, 0, 0, 5, 0, 0, 0, 0])
    #expect(Self.changed { $0.zoom(factor: 0.5, .edge) } == Self.square.map(Double.init))
  }

  /// On a ramp the change of a pixel is its displacement.
  @Test func bendingIsSmoothAndOfTheStatedSize() {
    let side = 64
    let ramp = (0..<(side * side)).map { Float($0 % side) }
    var random = RandomSequence(RandomKey(seed: 5, .user))
    var (sum, squares, jumps, count) = (0.0, 0.0, 0.0, 0)
    for _ in 0..<12 {
      let bent = Self.changed(Self.image(ramp, height: side, width: side)) {
        $0.bend(strength: 34, smoothness: 4, .edge, &random)
      }
      // Away from the edges, where the blur is cut off.
      for row in 16..<48 {
        for column in 16..<48 {
          let move = bent[row * side + column] - Double(column)
          let next = bent[row * side + column + 1] - Double(column + 1)
          sum += move
          squares += move * move
          jumps += (next - move) * (next - move)
          count += 1
        }
      }
    }
    // A blur of deviation s divides the deviation 1/√3 of the field by 2s√π.
    let expected = 34 / (8 * Double.pi.squareRoot() * 3.0.squareRoot())
    #expect(abs((squares / Double(count)).squareRoot() / expected - 1) < 0.15)
    #expect(abs(sum / Double(count)) < 0.3)
    // Neighbours of a field blurred by s differ by 1/(s√2) of its deviation.
    #expect(abs((jumps / squares).squareRoot() * 4 * 2.0.squareRoot() - 1) < 0.15)
  }

  @Test func erasingBlackensACutSquare() {
    var corners: Set<[Double]> = []
    for step in 0..<200 {
      var random = RandomSequence(RandomKey(seed: 1, .user, step: UInt64(step)))
      corners.insert(Self.changed { $0.erase(side: 2, &random) })
    }
    // Middles in the first row or column leave a cut square: 9 places.
    #expect(corners.count == 9)
    #expect(corners.contains([0, 2, 3, 4, 5, 6, 7, 8, 9]))
    #expect(corners.contains([1, 2, 3, 4, 0, 0, 7, 0, 0]))
    #expect(corners.allSatisfy { [1, 2, 4].contains($0.count { $0 == 0 }) })
  }

  @Test func roundingIsToTheNearestByteWithinTheRange() {
    let rounded = [-3, -0.4, 0.49, 0.5, 254.5, 300].map { UInt8(rounding: $0) }
    #expect(rounded == [0, 0, 0, 1, 255, 255])
  }
}
