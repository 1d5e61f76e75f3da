internal import CKeelLoops
package import KeelBackend

extension CPUBackend: OneHotBackend {
  package func oneHot(_ indices: NDArray, into out: NDArray) throws(DeviceError) {
    countLaunch()
    guard out.count > 0 else { return }
    let classes = out.count / indices.count
    let (positions, output) = (indices.pointer(as: Int32.self), out.floats)
    inRows(indices.count, columns: classes) { begin, end in
      keel_one_hot(positions, begin, end, classes, output)
    }
  }
}
