import Keel
import KeelBackend
import KeelTraining
import Testing

/// What a run's files say of the kernels that were chosen by measurement.
@Suite struct TuningRecordTests {
  /// A device as a tuned one describes itself.
  private final class TunedBackend: InterceptingBackend {
    let inner: any Backend
    let tuningRecord: TuningRecord?

    init(_ record: TuningRecord?) {
      inner = Device.cpu.backend
      tuningRecord = record
    }

    func intercept(
      _ operation: OperationName, method: String, inputs: [NDArray], outputs: [NDArray],
      _ body: DeviceCall
    ) throws(DeviceError) {
      try body(inner, inputs, outputs)
    }
  }

  @Test func aRunNamesItsTunedKernels() throws {
    let record = TuningRecord(fingerprint: "0123abcd", choices: ["matmul, small: tiles"])
    for record in [record, nil] {
      let trainer = try TestData.recipeTrainer(Device(TunedBackend(record)))
      try withFolder { folder in
        try trainer.fit(TestData.columns(16), epochs: 1, output: RunFolder(new: folder + "/run"))
        let run = try RunFolder(existing: folder + "/run")
        #expect(try run.description().tuning == record)
        #expect(try run.flight().run.tuning == record)
      }
    }
  }
}
