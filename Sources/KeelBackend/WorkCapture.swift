/// A device that can repeat work without being told all of it again: what a computation gives it is
/// recorded, launch by launch with grids and arguments, and started again from the record.
package protocol CapturingBackend: Backend {
  /// Whether work would be recorded or repeated now; false while launches are traced, because a
  /// trace wants to hear the planning functions.
  var isReadyToCapture: Bool { get }

  /// Memory that captures share, none so far.
  func makeCaptureSpace() -> any CaptureSpace

  /// A capture of work that is still to be seen.
  ///
  /// - Parameter space: of this device.
  func makeCapture(in space: any CaptureSpace) -> any WorkCapture
}

/// Memory for the intermediate results of captures that run one after the other: each may
/// overwrite what another has left there, and nobody else may. It counts as in use as long as it
/// lives.
package protocol CaptureSpace: AnyObject {}

/// Work that is the same each time it is done but for the numbers in its arrays and the step of its
/// random numbers.
///
/// The first time is watched, the second recorded while it runs, if it gives the device the same
/// launches with the same numbers; from then on ``replay(number:)`` repeats it. Arrays that outlive
/// the work, its results among them, keep their memory: a repetition writes them anew.
package protocol WorkCapture: AnyObject {
  /// Why the work cannot be repeated; nil as long as it seems so.
  var refusal: String? { get }

  /// Whether the last ``record(number:_:)`` left something to repeat.
  var isRecorded: Bool { get }

  /// Does the work, and watches or records it. Nothing else may be given to the device meanwhile;
  /// other threads wait.
  ///
  /// - Parameter number: from which the steps of random numbers follow: each of them is constant,
  ///   or at the same distance from `number` each time.
  func record<Failure>(number: UInt64, _ body: () throws(Failure) -> Void) throws(Failure)

  /// Repeats the work with the random numbers of `number`; false if there is nothing to repeat.
  func replay(number: UInt64) throws(DeviceError) -> Bool
}
