internal import CKeelLoops
package import KeelBackend

extension CPUBackend: Pooling2DBackend {
  package func maxPooling2D(
    _ x: NDArray, _ geometry: Pooling2DGeometry, into y: NDArray, indices: NDArray
  ) throws(DeviceError) {
    let (input, output) = (x.floats, y.floats)
    let winners = indices.pointer(as: UInt8.self)
    inImageRows(geometry, of: geometry.outHeight, by: geometry.outWidth) { call, begin, end in
      keel_max_pooling(call, input, output, winners, begin, end)
    }
  }

  package func maxPooling2DGradient(
    upstream dy: NDArray, indices: NDArray, _ geometry: Pooling2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    let (upstream, result) = (dy.floats, dx.floats)
    let winners = indices.pointer(as: UInt8.self)
    inImageRows(geometry, of: geometry.height, by: geometry.width) { call, begin, end in
      keel_max_pooling_gradient(call, upstream, winners, result, begin, end)
    }
  }

  package func averagePooling2D(
    _ x: NDArray, _ geometry: Pooling2DGeometry, into y: NDArray
  ) throws(DeviceError) {
    let (input, output) = (x.floats, y.floats)
    inImageRows(geometry, of: geometry.outHeight, by: geometry.outWidth) { call, begin, end in
      keel_average_pooling(call, input, output, begin, end)
    }
  }

  package func averagePooling2DGradient(
    upstream dy: NDArray, _ geometry: Pooling2DGeometry, into dx: NDArray
  ) throws(DeviceError) {
    let (upstream, result) = (dy.floats, dx.floats)
    inImageRows(geometry, of: geometry.height, by: geometry.width) { call, begin, end in
      keel_average_pooling_gradient(call, upstream, result, begin, end)
    }
  }

  /// Runs `body` over all rows of all images, several at a time.
  private func inImageRows(
    _ geometry: Pooling2DGeometry, of height: Int, by width: Int,
    _ body: (UnsafePointer<keel_pooling>, _ begin: Int, _ end: Int) -> Void
  ) {
    countLaunch()
    let call = keel_pooling(
      height: geometry.height, width: geometry.width, channels: geometry.channels,
      out_height: geometry.outHeight, out_width: geometry.outWidth,
      window_height: geometry.windowHeight, window_width: geometry.windowWidth,
      stride_height: geometry.strideHeight, stride_width: geometry.strideWidth,
      pad_top: geometry.padTop, pad_left: geometry.padLeft)
    withUnsafePointer(to: call) { call in
      inRows(geometry.batch * height, columns: width * geometry.channels) { begin, end in
        body(call, begin, end)
      }
    }
  }
}
