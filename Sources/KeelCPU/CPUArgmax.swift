internal import CKeelLoops
package import KeelBackend

extension CPUBackend: ArgmaxBackend {
  package func argmax(_ x: NDArray, axis: Int, into out: NDArray) throws(DeviceError) {
    countLaunch()
    guard out.count > 0 else { return }
    let extent = x.shape[axis]
    let inner = x.shape.extents[(axis + 1)...].reduce(1, *)
    let (input, output) = (x.floats, out.pointer(as: Int32.self))
    inRows(out.count / inner, columns: extent * inner) { begin, end in
      keel_argmax(input, begin, end, extent, inner, output)
    }
  }
}
