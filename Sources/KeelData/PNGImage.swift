import CPNG

extension GrayImage {
  /// The largest PNG file that is read, 64 MiB.
  package static let largestFile = 64 << 20
  /// The most pixels that a PNG may have, 16 million.
  package static let mostPixels = 1 << 24

  /// Reads a PNG file of any kind as shades of grey.
  ///
  /// Colour becomes luminance. Transparent pixels become background: white behind dark ink, black
  /// behind bright ink.
  ///
  /// - Throws: ``DataError`` when it is missing, too large, or not a whole PNG.
  public init(pngFile path: String) throws(DataError) {
    try self.init(png: try DataFile.read(path, limit: Self.largestFile), path: path)
  }

  /// Reads the content of a PNG file.
  package init(png content: [UInt8], path: String) throws(DataError) {
    guard content.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) else {
      throw DataError(.malformed, "is not a PNG image", path: path, offset: 0)
    }
    var image = png_image()
    image.version = UInt32(PNG_IMAGE_VERSION)
    defer { png_image_free(&image) }
    // libpng reads from this memory until the last row, so both calls stay inside.
    let outcome = content.withUnsafeBytes { bytes -> Result<[UInt8], DataError> in
      guard png_image_begin_read_from_memory(&image, bytes.baseAddress, bytes.count) != 0 else {
        return .failure(Self.refusal(image, path))
      }
      let (width, height) = (Int(image.width), Int(image.height))
      guard width <= Self.mostPixels, height <= Self.mostPixels,
        width * height <= Self.mostPixels
      else {
        return .failure(
          DataError(
            .tooLarge, "has \(width)x\(height) pixels, the limit is \(Self.mostPixels)",
            path: path, offset: 16))
      }
      image.format = UInt32(PNG_FORMAT_GA)
      var pairs = [UInt8](repeating: 0, count: 2 * width * height)
      let read = pairs.withUnsafeMutableBytes {
        png_image_finish_read(&image, nil, $0.baseAddress, 0, nil)
      }
      return read != 0 ? .success(pairs) : .failure(Self.refusal(image, path))
    }
    let pairs = try outcome.get()
    self.init(
      width: Int(image.width), height: Int(image.height), pixels: Self.withoutAlpha(pairs))
  }

  /// The picture as the content of a PNG file.
  package func png() throws(DataError) -> [UInt8] {
    var image = png_image()
    image.version = UInt32(PNG_IMAGE_VERSION)
    image.width = UInt32(width)
    image.height = UInt32(height)
    image.format = UInt32(PNG_FORMAT_GRAY)
    defer { png_image_free(&image) }
    // The worst case: incompressible rows with a filter byte each, and generous framing.
    var size: Int = (width + 1) * height + (width + 1) * height / 1000 + 4096
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { target, count in
      let written = png_image_write_to_memory(
        &image, target.baseAddress, &size, 0, pixels, 0, nil)
      count = written != 0 ? size : 0
    }
    guard !bytes.isEmpty else { throw Self.refusal(image, "PNG") }
    return bytes
  }

  /// Writes a PNG file.
  public func write(pngFile path: String) throws(DataError) {
    try DataFile.write(try png(), to: path)
  }

  private static func refusal(_ image: png_image, _ path: String) -> DataError {
    let text = withUnsafeBytes(of: image.message) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    return DataError(.malformed, "is a damaged PNG image (\(text))", path: path)
  }

  /// Puts pairs of grey and alpha onto a background that contrasts with the ink.
  private static func withoutAlpha(_ pairs: [UInt8]) -> [UInt8] {
    var (ink, opacity) = (0, 0)
    for place in stride(from: 0, to: pairs.count, by: 2) {
      ink += Int(pairs[place]) * Int(pairs[place + 1])
      opacity += Int(pairs[place + 1])
    }
    let background = ink * 2 < opacity * 255 ? 255 : 0
    return stride(from: 0, to: pairs.count, by: 2).map { place in
      let (shade, alpha) = (Int(pairs[place]), Int(pairs[place + 1]))
      return UInt8((shade * alpha + background * (255 - alpha) + 127) / 255)
    }
  }
}
